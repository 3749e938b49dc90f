"""``pymeter report retry``, ``leave`` and ``resolve``: decisions about single pushes."""

from __future__ import annotations

from typing import Annotated

import typer

from pymeter.cli.options import AsJson, form
from pymeter.cli.output import counted, good, show
from pymeter.cli.reporting.options import BillerName
from pymeter.cli.target import Context
from pymeter.models import Push


def retry(
    ctx: Context,
    identifier: Annotated[
        str | None, typer.Argument(help="Only this push; without it, all that are rejected or held.")
    ] = None,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Plan rejected and held pushes again.

    They get the current customers and event names. The next run sends them.
    """
    with ctx.obj.meter() as meter:
        rows = meter.retry_pushes(biller, identifier)
    show(
        rows, Push, lambda found: good(f"{counted(len(found), 'push', 'pushes')} planned anew"), form(as_json)
    )


def leave(
    ctx: Context,
    identifier: Annotated[
        str | None, typer.Argument(help="The identifier of a rejected or held push.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="All that are rejected or held with this reason, such as too_old.")
    ] = None,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Decide that rejected or held pushes are not sent.

    Their state becomes left.
    """
    if identifier is None and reason is None:
        raise typer.BadParameter("give an identifier or --reason")
    with ctx.obj.meter() as meter:
        rows = meter.leave_pushes(biller, identifier, reason)
    show(rows, Push, lambda found: good(f"{counted(len(found), 'push', 'pushes')} left"), form(as_json))


def resolve(
    ctx: Context,
    identifier: Annotated[str, typer.Argument(help="The identifier of an uncertain push.")],
    delivered: Annotated[
        bool | None,
        typer.Option("--delivered/--not-delivered", help="What you have found out about it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Resolve an uncertain push.

    One that was not delivered is planned again.
    """
    if delivered is None:
        raise typer.BadParameter("say --delivered or --not-delivered")
    with ctx.obj.meter() as meter:
        push = meter.resolve_push(identifier, delivered)
    show(push, Push, lambda one: good(f"{one.identifier}: {one.state}"), form(as_json))

"""Commands about top-ups: top-up, balance."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter.cli.help import add_command
from pymeter.cli.options import AsCsv, AsJson, MetricKey, Subject, Zone, form, read_moment
from pymeter.cli.output import good, moment, note, number, show, table, window
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import ActiveTopUp, Balance, TopUp, TopUpSource

At = Annotated[str | None, typer.Option(help="When; default: now.")]

top_up = typer.Typer(
    cls=SuggestingGroup,
    help="Give, list and take back units beyond a quota.",
    no_args_is_help=True,
)


def add(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    quantity: Annotated[str, typer.Argument(help="How much, in the metric's unit.")],
    key: Annotated[str, typer.Option("--key", "-k", help="A retry with the same key is the same top-up.")],
    priority: Annotated[int, typer.Option(help="Lower ones are used first.")] = 50,
    since: Annotated[
        str | None, typer.Option(help="From when; default: the start of the running period.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="Until when, exclusive; default: for ever.")] = None,
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not paid.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Give a subject units of a metric beyond its quota.

    pymeter top-up add acct_1 tokens 200 --key invoice_17
    """
    begins, ends = read_moment(since, timezone, "--since"), read_moment(expires, timezone, "--expires")
    source: TopUpSource = "promotional" if promotional else "paid"
    with ctx.obj.meter() as meter:
        found = meter.top_up(
            subject,
            metric,
            quantity,
            key,
            priority=priority,
            since=begins,
            expires_at=ends,
            source=source,
            reason=reason,
        )
    show(found, TopUp, lambda one: good(_described(one, timezone)), form(as_json))


def _described(one: TopUp, timezone: str) -> str:
    return (
        f"top-up {one.top_up_id}: {number(one.quantity)} {one.metric} for {one.subject}"
        f" in {window(one.since, one.expires_at, timezone)}"
    )


def void(
    ctx: Context,
    top_up_id: Annotated[int, typer.Argument(help="The id that add and list show.")],
    reason: Annotated[str, typer.Argument(help="Why, for people.")],
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Take a top-up back, as if it had never been."""
    with ctx.obj.meter() as meter:
        found = meter.void_top_up(top_up_id, reason)
    show(found, TopUp, lambda one: good(f"{_described(one, timezone)}: void"), form(as_json))


def list_(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    at: At = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the active top-ups, in the order of their use."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.top_ups(subject, metric, at=then)
    show(found, ActiveTopUp, lambda rows: _top_ups_table(rows, timezone), wanted)


def _top_ups_table(found: list[ActiveTopUp], timezone: str) -> RenderableType:
    if not found:
        return note("no top-up is active")
    expires = f"expires ({timezone})"
    result = table(
        *("top-up", "quantity", "used", "left", "priority", "source", expires, "reason"),
        numbers=("top-up", "quantity", "used", "left", "priority"),
    )
    for one in found:
        result.add_row(
            "" if one.top_up_id is None else str(one.top_up_id),
            number(one.quantity),
            number(one.used),
            number(one.remaining),
            "" if one.priority is None else str(one.priority),
            one.source,
            moment(one.expires_at, timezone),
            one.reason or "",
        )
    return result


def balance(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    at: At = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Show quota, usage, top-ups and what is left.

    pymeter balance acct_1 tokens
    """
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.balance(subject, metric, at=then)
    show(found, Balance, lambda one: _balance(one, timezone), form(as_json))


def _balance(one: Balance, timezone: str) -> Text:
    left = "unlimited" if one.remaining is None else f"{number(one.remaining)} left"
    quota = "no quota" if one.quota is None else f"quota {number(one.quota)}"
    parts = [
        f"used {number(one.used)}",
        quota,
        f"top-ups {number(one.top_ups)}, {number(one.top_ups_left)} left",
    ]
    parts += [f"held {number(one.held)}"] if one.held else []
    parts += [f"overrun {number(one.overrun)}"] if one.overrun else []
    return Text(f"{left}: {'; '.join(parts)}  {window(one.since, one.until, timezone)}")


add_command(top_up, add)
add_command(top_up, void)
add_command(top_up, list_, name="list")

"""Commands about who may call what: grant, revoke, access."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.console import RenderableType

from pymeter.cli.options import AsCsv, AsJson, form
from pymeter.cli.output import good, note, show, stdout, table
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.models import AccessRight, Level
from pymeter.program_connection import transaction

Role = Annotated[str, typer.Argument(help="A role of the server; case matters.")]


def grant(
    ctx: Context,
    role: Role,
    levels: Annotated[
        list[str], typer.Argument(metavar="LEVEL...", help="read, write, report, admin or approve.")
    ],
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="With read: this subject alone.")
    ] = None,
) -> None:
    """Let a role call the functions of a level.

    It gets no other right, and none on a table.
    """
    with ctx.obj.installed().connect() as connection, transaction(connection, mode="READ WRITE"):
        meter = Meter(connection, schema=ctx.obj.schema)
        for level in levels:
            meter.grant_access(role, cast(Level, level), subject)
    about = "" if subject is None else f" {subject}"
    stdout().print(good(f"{role} may {' and '.join(levels)}{about}"))


def revoke(
    ctx: Context,
    role: Role,
    level: Annotated[str | None, typer.Argument(help="A level. Default: every right.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="With read: this subject alone.")
    ] = None,
) -> None:
    """Take a level, or every right on the meter, from a role."""
    with ctx.obj.meter() as meter:
        meter.revoke_access(role, cast(Level | None, level), subject)
    what = "every right" if level is None else level if subject is None else f"{level} {subject}"
    stdout().print(good(f"{role}: {what} revoked"))


def access(ctx: Context, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Show which role may do what.

    Without the owner and superusers, who may do everything.
    """
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        rights = meter.access()
    show(rights, AccessRight, _rights_table, wanted)


def _rights_table(rights: list[AccessRight]) -> RenderableType:
    if not rights:
        return note("no role but the owner has access; begin with: pymeter grant ROLE write")
    result = table("role", "level", "subject", "may", "members")
    for right in rights:
        result.add_row(
            right.role,
            (right.level or "other rights") + ("" if right.complete in (True, None) else ", in part"),
            right.subject or ("" if right.level is None else "any"),
            ", ".join(right.rights),
            ", ".join(right.members),
        )
    return result

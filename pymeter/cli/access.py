"""Commands about who may call what: grant, revoke, access."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.text import Text

from pymeter.cli.options import AsCsv, AsJson, Form, form
from pymeter.cli.output import good, print_csv, print_json, stdout, table
from pymeter.cli.target import connect, open_meter, settings
from pymeter.client import Meter
from pymeter.models import AccessRight, Level
from pymeter.program_connection import transaction

Role = Annotated[str, typer.Argument(help="A role of the database server; upper and lower case as they are.")]


def grant(
    role: Role,
    levels: Annotated[
        list[str], typer.Argument(metavar="LEVEL...", help="read, write, report or admin; one or more.")
    ],
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="With read: this subject alone.")
    ] = None,
) -> None:
    """Let a role call exactly the functions of a level. It gets no right on any table."""
    with connect() as connection, transaction(connection, mode="READ WRITE"):
        meter = Meter(connection, schema=settings.schema)
        for level in levels:
            meter.grant_access(role, cast(Level, level), subject)
    about = "" if subject is None else f" {subject}"
    stdout().print(good(f"{role} may {' and '.join(levels)}{about}"))


def revoke(
    role: Role,
    level: Annotated[
        str | None, typer.Argument(help="read, write, report or admin; without it, every right.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="With read: this subject alone.")
    ] = None,
) -> None:
    """Take a level from a role, or every right that it has on the meter."""
    with connect() as connection:
        open_meter(connection).revoke_access(role, cast(Level | None, level), subject)
    what = "every right" if level is None else level if subject is None else f"{level} {subject}"
    stdout().print(good(f"{role}: {what} revoked"))


def access(as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Show which role may do what. The owner and superusers, who may do everything, are left out."""
    wanted = form(as_json, as_csv)
    with connect() as connection:
        rights = open_meter(connection).access()
    if wanted is Form.json:
        print_json(rights)
    elif wanted is Form.csv:
        print_csv(AccessRight, rights)
    elif not rights:
        stdout().print("[dim]nobody but the owner; begin with: pymeter grant ROLE write[/dim]")
    else:
        result = table("role", "level", "subject", "may", "members")
        for right in rights:
            result.add_row(
                Text(right.role),
                (right.level or "beside that") + ("" if right.complete in (True, None) else ", in part"),
                Text(right.subject or ("" if right.level is None else "any")),
                Text(", ".join(right.rights)),
                Text(", ".join(right.members)),
            )
        stdout().print(result)

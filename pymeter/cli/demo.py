"""The command that shows everything once: demo."""

from __future__ import annotations

from typing import Annotated

import typer

from pymeter.cli.output import stdout
from pymeter.cli.target import DEFAULT_SCHEMA, Context, Target, private_target
from pymeter.program_connection import checked_dsn

DEMO_SCHEMA = "meter_demo"


def demo(
    ctx: Context,
    seed: Annotated[int, typer.Option(help="Another seed gives another sample.")] = 20,
) -> None:
    """Show what a meter does, with a sample of 10,000 events: about five seconds, nothing to set up.

    It runs on the private PostgreSQL, which it starts, or on the server of --dsn; DSNs of the environment do
    not count. Its schema, meter_demo, is dropped and made again by every run. A schema that holds anything
    else is refused. The private server keeps running afterwards; stop it with: pymeter server stop.
    """
    from pymeter.cli.demo_tour import run

    dsn = ctx.obj.dsn
    database = Target(checked_dsn(dsn)) if dsn else private_target()
    schema = DEMO_SCHEMA if ctx.obj.schema == DEFAULT_SCHEMA else ctx.obj.schema
    run(stdout(), database, schema, seed)

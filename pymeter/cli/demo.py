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
    seed: Annotated[int, typer.Option(help="The seed of the random sample.")] = 20,
    web: Annotated[bool, typer.Option("--web", help="Serve pages with the sample, and print where.")] = False,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="With --web: where.")] = 8080,
) -> None:
    """Show what a meter does, with a sample of 10,000 events.

    It takes about five seconds; with --web, pages with the sample are served then, until Ctrl-C. It starts
    the private PostgreSQL, or uses the server of --dsn; it ignores the DSNs of the environment. Every run
    drops and creates the schema meter_demo, unless it holds anything else. Stop the private PostgreSQL with:
    pymeter server stop.
    """
    dsn = ctx.obj.dsn
    database = Target(checked_dsn(dsn)) if dsn else private_target()
    schema = DEMO_SCHEMA if ctx.obj.schema == DEFAULT_SCHEMA else ctx.obj.schema
    if web:
        from pymeter.cli.demo_site import serve_demo

        serve_demo(database, schema, seed, port)
        return
    from pymeter.cli.demo_tour import farewell, run

    farewell(stdout(), database, schema, run(stdout(), database, schema, seed))

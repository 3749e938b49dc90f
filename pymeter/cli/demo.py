"""The command that shows everything once: demo."""

from __future__ import annotations

from typing import Annotated

import typer

from pymeter.cli.output import stdout
from pymeter.cli.target import DEFAULT_SCHEMA, Target, checked, private_target, settings

DEMO_SCHEMA = "meter_demo"


def demo(
    seed: Annotated[int, typer.Option(help="Another seed gives another sample.")] = 20,
) -> None:
    """Show what a meter does, with a sample of 10,000 events: about five seconds, nothing to set up.

    It runs on the private PostgreSQL (unless --dsn names another; the environment does not count here), in a
    schema of its own, meter_demo, which every run drops and makes again.
    """
    from pymeter.cli.demo_tour import run

    database = Target(checked(settings.dsn), private=False) if settings.dsn else private_target()
    schema = DEMO_SCHEMA if settings.schema == DEFAULT_SCHEMA else settings.schema
    run(stdout(), database, schema, seed)

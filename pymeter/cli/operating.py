"""Commands for those who run a meter: metrics, operate."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType

from pymeter import program_connection
from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.help import add_command
from pymeter.cli.options import AsJson, form
from pymeter.cli.output import bad, counted, good, print_json, show, stderr, table
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.models import OperationalMetric
from pymeter.operate.files import FILES, read_file
from pymeter.operate.prometheus import as_text

_SECONDS_MAX = 10

operate = typer.Typer(
    cls=SuggestingGroup,
    help="Print alert rules, a dashboard, units; check drift.",
    no_args_is_help=True,
)


def metrics(ctx: Context, as_json: AsJson = False) -> None:
    """Print the numbers of the meter for Prometheus.

    In its text format. No number is about one subject. The database has 10 seconds to answer.
    """
    found = _operational_metrics(ctx)
    if as_json:
        print_json(found)
        return
    try:
        print(as_text(found), end="")
    except ModuleNotFoundError:
        raise CliError(
            "metrics need one more package", "pip install 'pymeter-ledger[prometheus]', or pass --json."
        ) from None


def _operational_metrics(ctx: Context) -> list[OperationalMetric]:
    with (
        ctx.obj.installed().connect() as connection,
        program_connection.transaction(connection, mode="READ ONLY"),
    ):
        connection.execute(f"SET LOCAL statement_timeout = '{_SECONDS_MAX}s'".encode())
        return Meter(connection, schema=ctx.obj.schema).operational_metrics()


def list_files(as_json: AsJson = False) -> None:
    """List the files for Prometheus, Grafana, systemd and cron."""
    files = [{"name": name, "for": purpose} for name, purpose in FILES.items()]
    show(files, None, lambda _: _files_table(), form(as_json))


def _files_table() -> RenderableType:
    result = table("name", "for", unfolded=("name",))
    for name, purpose in FILES.items():
        result.add_row(name, purpose)
    return result


def show_file(name: Annotated[str, typer.Argument(help="As `operate list` has it.")]) -> None:
    """Print one of the files, as it is.

    pymeter operate show alerts.yml
    """
    try:
        print(read_file(name), end="")
    except KeyError:
        raise CliError(f"there is no file {name!r}", "List them with: pymeter operate list") from None


def check_drift(ctx: Context, as_json: AsJson = False) -> None:
    """Verify everything, and note the result for `pymeter metrics`.

    It reads the whole log: for a weekly job. What differs is shown by: pymeter verify

    Exit status 1: something differs.
    """
    with ctx.obj.meter() as meter, stderr().status("[dim]verifying ...[/dim]"):
        drifts = meter.check_drift()
    line = (
        bad(f"{counted(drifts, 'row')} {'differs' if drifts == 1 else 'differ'}; list with: pymeter verify")
        if drifts
        else good("no drift: every rollup and statement is as it should be")
    )
    show({"drift_rows": drifts}, None, lambda _: line, form(as_json))
    if drifts:
        raise typer.Exit(SAYS_NO)


add_command(operate, list_files, name="list")
add_command(operate, show_file, name="show")
add_command(operate, check_drift, name="check-drift")

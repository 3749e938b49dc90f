"""Commands for old months in files: archive export|list|restore|check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import typer
from rich.console import RenderableType

from pymeter.cli.errors import CliError
from pymeter.cli.help import add_command
from pymeter.cli.options import AsJson, form
from pymeter.cli.output import counted, good, minute, number, progress, show, table
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import Archive

if TYPE_CHECKING:
    from pymeter.archive.files import Advance

archive = typer.Typer(
    cls=SuggestingGroup, help="Move old months to Parquet files, and back.", no_args_is_help=True
)
TheFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file of: pymeter archive list")]


def export(
    ctx: Context,
    month: Annotated[str, typer.Argument(help="A month (UTC) that is over: 2026-01")],
    directory: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write the file.")] = Path(),
    detach: Annotated[bool, typer.Option("--detach", help="Keep the rows as a table of their own.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a month to a file, and remove it from the log.

    The file is read back and compared with the log before. Back up the file: it is the only copy.
    """
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise CliError(f"{month!r} is not a month", "Write it like 2026-01.") from None
    with _working(ctx, f"exporting {month}") as (work, connection, advance):
        done = work.export_month(connection, ctx.obj.schema, first, directory, detach=detach, advance=advance)
    _show(done, f"{month} is in {directory / done.file_name}, no longer in the log", as_json)


def list_archives(ctx: Context, as_json: AsJson = False) -> None:
    """List the months that were archived, the latest first."""
    with _working(ctx, "reading") as (work, connection, _):
        found = list(work.all_archives(ctx.obj.meter_on(connection)))
    show(found, None, lambda _: _table(found), form(as_json))


def restore(ctx: Context, file: TheFile, as_json: AsJson = False) -> None:
    """Put the events of a file back into the log.

    In one transaction: if it is interrupted, run it again.
    """
    with _working(ctx, f"restoring {file.name}") as (work, connection, advance):
        done = work.restore_file(connection, ctx.obj.schema, file, advance=advance)
    _show(done, f"{done.month:%Y-%m} is in the log again", as_json)


def check(ctx: Context, file: TheFile, as_json: AsJson = False) -> None:
    """Read a file, and compare it with what was archived."""
    with _working(ctx, f"checking {file.name}") as (work, connection, advance):
        done = work.check_file(connection, ctx.obj.schema, file, advance=advance)
    _show(done, f"{file.name} is complete", as_json)


@contextmanager
def _working(ctx: Context, task: str) -> Iterator[tuple[Any, psycopg.Connection[Any], Advance]]:
    """The module that does the work, a connection, and what shows progress."""
    try:
        from pymeter.archive import files, work
    except ModuleNotFoundError as error:
        raise CliError(f"archives need {error.name}", "pip install 'pymeter-ledger[parquet]'") from None
    with ctx.obj.installed().connect() as connection, progress() as bar:
        shown = bar.add_task(task, total=None)

        def advance(rows: int) -> None:
            bar.advance(shown, rows)
            bar.update(shown, description=f"{task}: {counted(int(bar.tasks[0].completed), 'event')}")

        try:
            yield work, connection, advance
        except files.BadFile as error:
            raise CliError(str(error), error.hint) from None


def _show(done: Archive, line: str, as_json: bool) -> None:
    show(done, None, lambda _: good(f"{line}: {counted(done.event_count, 'event')}"), form(as_json))


def _table(found: list[Archive]) -> RenderableType:
    result = table("month", "file", "events", "archived (UTC)", "restored (UTC)", numbers=("events",))
    for one in found:
        result.add_row(
            f"{one.month:%Y-%m}",
            one.file_name,
            number(one.event_count),
            minute(one.archived_at),
            minute(one.restored_at),
        )
    return result


add_command(archive, export)
add_command(archive, list_archives, name="list")
add_command(archive, restore)
add_command(archive, check)

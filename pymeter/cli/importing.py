"""The command that records files of events: import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.progress import TaskProgressColumn, TextColumn
from rich.text import Text

from pymeter import importing
from pymeter.cli.errors import SAYS_NO
from pymeter.cli.options import (
    AsJson,
    read_pairs,
    read_zone,
)
from pymeter.cli.output import (
    number,
    print_json,
    progress,
    stdout,
    table,
)
from pymeter.cli.target import Context
from pymeter.cli.visible import visible
from pymeter.importing import ImportOptions, ImportReport, import_file

_REASONS_MAX = 5
_FILE = "How the file is written"
_FIELDS = "Which column is which field"
_KEYS = "Lines without an idempotency key"


def import_(
    ctx: Context,
    files: Annotated[list[str], typer.Argument(help="Files, gzipped or not; - for standard input.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="csv, jsonl or cloudevents. Default: by the name and the lines.",
            rich_help_panel=_FILE,
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Where names differ. Repeatable. FIELD? may be missing.",
            rich_help_panel=_FIELDS,
        ),
    ] = None,
    constants: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="The same for all events. Repeatable.",
            rich_help_panel=_FIELDS,
        ),
    ] = None,
    header: Annotated[
        bool,
        typer.Option(help="Whether line 1 of a CSV has the names, else 1, 2, 3.", rich_help_panel=_FILE),
    ] = True,
    delimiter: Annotated[
        str | None,
        typer.Option(help="Of CSV. Default: comma, or tab for .tsv.", rich_help_panel=_FILE),
    ] = None,
    timezone: Annotated[
        str,
        typer.Option("--timezone", "-z", help="Zone of times without an offset.", rich_help_panel=_FILE),
    ] = "UTC",
    unkeyed: Annotated[
        str,
        typer.Option(
            help="derive a key from the content, count each time, or reject.", rich_help_panel=_KEYS
        ),
    ] = "derive",
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Derive keys from NAME and the line. Streams need it.",
            rich_help_panel=_KEYS,
        ),
    ] = None,
    grown: Annotated[
        bool,
        typer.Option("--grown", help="Count what was added since the last import.", rich_help_panel=_KEYS),
    ] = False,
    extra: Annotated[
        str,
        typer.Option(help="Other columns: refuse, metadata or ignore.", rich_help_panel=_FIELDS),
    ] = "refuse",
    batch_size: Annotated[int, typer.Option(min=1, max=10000, help="Lines in one transaction.")] = 1000,
    rejects: Annotated[
        Path | None,
        typer.Option(help="For lines not counted. Default: FILE.rejects.jsonl."),
    ] = None,
    trim: Annotated[
        bool,
        typer.Option(help="Remove white space around texts.", rich_help_panel=_FIELDS),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line; record nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import events from CSV, JSON or CloudEvents 1.0 files.

        pymeter import june.csv.gz
        pymeter import june.csv --map subject=account --set metric=tokens
        pymeter import events.jsonl --dry-run

    The fields are subject, metric, quantity, member, idempotency_key, at, metadata and metadata.NAME.
    Importing a file again counts nothing twice: after an interruption repeat the command.

    Exit status 1: lines were rejected or in conflict; the rejects file has them, with reasons.
    """
    if format is not None and format not in get_args(importing.FileFormat):
        raise typer.BadParameter("--format is csv, jsonl or cloudevents")
    read_zone(timezone)
    if rejects is not None and len(files) > 1:
        raise typer.BadParameter(
            "--rejects is for one file; each file has a rejects file of its own by default"
        )
    options = ImportOptions(
        format=cast("importing.FileFormat | None", format),
        mapping=read_pairs(mapping, "--map"),
        constants=read_pairs(constants, "--set"),
        header=header,
        delimiter="\t" if delimiter in {"\\t", "tab"} else delimiter,
        timezone=timezone,
        unkeyed=cast(importing.Unkeyed, unkeyed),
        extra=cast(importing.Extra, extra),
        source=source,
        batch_size=batch_size,
        grown=grown,
        trim=trim,
    )
    database = ctx.obj.installed()
    reports: list[ImportReport] = []
    try:
        for name in files:
            report = ImportReport(name)
            with _Bar(report) as show:
                reports.append(report)
                import_file(
                    name,
                    database.connect,
                    schema=ctx.obj.schema,
                    options=options,
                    rejects=rejects,
                    progress=show,
                    report=report,
                    dry_run=dry_run,
                )
    finally:
        _print_reports([report for report in reports if report.lines or report.complete], as_json, options)
    if any(report.rejected or report.conflict for report in reports):
        raise typer.Exit(SAYS_NO)


class _Bar:
    """A progress bar on standard error: by bytes where the size is known."""

    def __init__(self, report: ImportReport) -> None:
        path = Path(report.file)
        size = path.stat().st_size if report.file != "-" and path.is_file() else None
        self._bar = progress(
            *([TaskProgressColumn()] if size else []), TextColumn("{task.fields[lines]} lines", style="dim")
        )
        title = visible(path.name) if size else "standard input"
        self._task = self._bar.add_task(title, total=size, lines=0)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, report: ImportReport, bytes_read: int, /) -> None:
        self._bar.update(self._task, completed=bytes_read or None, lines=number(report.lines))


def _print_reports(reports: list[ImportReport], as_json: bool, options: ImportOptions) -> None:
    if not reports:
        return
    if as_json:
        print_json(reports[0].as_dict() if len(reports) == 1 else [report.as_dict() for report in reports])
        return
    columns = ("lines", "recorded", "duplicate", "conflict", "rejected", "lines/s")
    result = table("file", *columns, numbers=columns)
    for report in reports:
        result.add_row(
            Path(report.file).name or "-",
            number(report.lines),
            number(report.recorded),
            number(report.duplicate),
            _alarm(report.conflict),
            _alarm(report.rejected),
            number(report.events_per_second),
        )
    console = stdout()
    console.print(result)
    for report in reports:
        for reason, count in Counter(report.reasons).most_common(_REASONS_MAX):
            console.print(Text.assemble(f"  {number(count):>7}  ", visible(reason)), soft_wrap=True)
        for title, text, style in _notes(report, options):
            console.print(Text.assemble("  ", (title, style), visible(text)), soft_wrap=True)


def _notes(report: ImportReport, options: ImportOptions) -> Iterator[tuple[str, str, str]]:
    """What has to be said of an import beside its counts: titles, texts, and the titles' styles."""
    if report.dry_run:
        yield "dry run: ", f"nothing was recorded from {report.file}", "yellow"
    if report.rejects_file:
        yield "lines that were not counted, and why: ", report.rejects_file, ""
        if report.derived and options.source is None:
            yield (
                "",
                "correct them in a file of their own: the whole file, once changed, is another file,"
                " and all its lines would count again",
                "",
            )
    if report.duplicate and options.counted_column and not report.derived:
        yield (
            "duplicates: ",
            f"their keys were used before. If you imported another column than {options.counted_column} with"
            " these keys, give each column a metric of its own, or keys of its own",
            "yellow",
        )
    if not report.complete:
        yield "not finished: ", f"run the same command again to go on with {report.file}", "yellow"


def _alarm(count: int) -> Text:
    return Text(number(count), style="yellow" if count else "")

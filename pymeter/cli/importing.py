"""The command that records files of events: import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from pymeter import importing
from pymeter.cli.backfill import Backfill, read_windows
from pymeter.cli.errors import SAYS_NO
from pymeter.cli.import_reports import ImportBar, print_reports
from pymeter.cli.options import (
    AsJson,
    read_pairs,
    read_zone,
)
from pymeter.cli.target import Context
from pymeter.importing import ImportOptions, ImportReport, import_file

_REASONS_MAX = 5
_FILE = "How the file is written"
_FIELDS = "Which column is which field"
_KEYS = "Lines without an idempotency key"
_BACKFILL = "As a correction, to be approved"


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
    as_correction: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Stage the lines; approved, they count.", rich_help_panel=_BACKFILL
        ),
    ] = None,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'SUBJECT, METRIC, SINCE, UNTIL'",
            help="Take back all usage there first. Repeatable.",
            rich_help_panel=_BACKFILL,
        ),
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve it at once.", rich_help_panel=_BACKFILL)
    ] = False,
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
    if as_correction is None and (replace or approve):
        raise typer.BadParameter("--replace and --approve go with --as-correction")
    if as_correction is not None:
        if len(files) > 1 or dry_run:
            raise typer.BadParameter(
                "--as-correction is for one file, without --dry-run: it counts nothing yet"
            )
        windows = tuple(read_windows(replace, timezone))
        backfill = Backfill(files[0], as_correction, windows, options, rejects, approve)
        backfill.run(ctx.obj, as_json)
        return
    database = ctx.obj.installed()
    reports: list[ImportReport] = []
    try:
        for name in files:
            report = ImportReport(name)
            with ImportBar(report) as show:
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
        print_reports([report for report in reports if report.lines or report.complete], as_json, options)
    if any(report.rejected or report.conflict for report in reports):
        raise typer.Exit(SAYS_NO)

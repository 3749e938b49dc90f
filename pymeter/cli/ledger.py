"""Commands that write to the ledger: define, retire, catalog, record, import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Group, RenderableType
from rich.progress import TaskProgressColumn, TextColumn
from rich.text import Text

from pymeter import importing
from pymeter.cli.errors import SAYS_NO
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MetricKey,
    Subject,
    Zone,
    form,
    read_duration,
    read_json_object,
    read_moment,
    read_pairs,
    read_zone,
)
from pymeter.cli.output import (
    bad,
    good,
    moment,
    note,
    number,
    print_json,
    progress,
    show,
    stdout,
    table,
    window,
)
from pymeter.cli.patience import when_free
from pymeter.cli.target import Context
from pymeter.cli.visible import visible
from pymeter.importing import ImportOptions, ImportReport, import_file
from pymeter.models import Aggregate, Metric, Period, Recorded, Rollup

_REASONS_MAX = 5


def define(
    ctx: Context,
    key: Annotated[str, typer.Argument(help="The name that record and usage take.")],
    aggregate: Annotated[str, typer.Argument(help="sum, count, min, max, avg, last or unique.")],
    unit: Annotated[str, typer.Argument(help="What one of it is: token, request, seat, GB.")],
    name: Annotated[str | None, typer.Option(help="A title for people.")] = None,
    description: Annotated[str | None, typer.Option(help="What is counted, and why.")] = None,
    period: Annotated[
        str | None,
        typer.Option(
            help="Billing bucket: minute, hour, day, week, month, year or never. A new metric's: month."
        ),
    ] = None,
    rollup: Annotated[
        str | None,
        typer.Option(help="Finer bucket kept beside it: hour, day or none. A new metric's: hour."),
    ] = None,
    striped: Annotated[
        bool | None, typer.Option("--striped/--no-striped", help="Spread one hot subject over several rows.")
    ] = None,
    max_future: Annotated[
        str | None,
        typer.Option(help="How far ahead of the clock an event may lie: 2h, 7 days. A new metric's: 1 day."),
    ] = None,
    carry: Annotated[
        bool | None,
        typer.Option(
            "--carry/--no-carry", help="last: a window without events has the last value from before it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Define a metric, or change it: what is left out stays as it is. Doing it again changes nothing."""
    ahead = read_duration(max_future, "--max-future")
    with ctx.obj.meter() as meter:
        metric = when_free(
            lambda: meter.define_metric(
                key,
                cast(Aggregate, aggregate),
                unit,
                name=name,
                description=description,
                period=cast(Period | None, period),
                rollup=cast(Rollup | None, rollup),
                striped=striped,
                max_future=ahead,
                carry=carry,
            )
        )
    show(metric, Metric, _defined, form(as_json))


def _defined(metric: Metric) -> Text:
    return good(f"{metric.key}: {metric.aggregate} of {metric.unit} per {metric.period}")


def retire(ctx: Context, key: MetricKey, as_json: AsJson = False) -> None:
    """Retire a metric: its history stays readable, recording is refused."""
    with ctx.obj.meter() as meter:
        metric = meter.retire_metric(key)
    show(metric, Metric, _retired, form(as_json))


def _retired(metric: Metric) -> Text:
    return good(f"{metric.key} is retired since {moment(metric.retired_at)} UTC")


def catalog(ctx: Context, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the metrics."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        metrics = meter.catalog()
    show(metrics, Metric, _catalog_table, wanted)


def _catalog_table(metrics: list[Metric]) -> RenderableType:
    if not metrics:
        return note("no metric is defined yet; begin with: pymeter define tokens sum token")
    result = table("metric", "aggregate", "unit", "period", "rollup", "name", "retired")
    for metric in metrics:
        result.add_row(
            metric.key,
            metric.aggregate,
            metric.unit,
            metric.period,
            metric.rollup + (" striped" if metric.striped else "") + (" carry" if metric.carry else ""),
            metric.name or "",
            moment(metric.retired_at) if metric.retired_at else "",
            style="dim" if metric.retired_at else None,
        )
    return result


def record(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    quantity: Annotated[str | None, typer.Argument(help="How much, in the metric's unit.")] = None,
    member: Annotated[str | None, typer.Option(help="What a unique metric counts.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--key", "-k", "--idempotency-key", help="The same key counts once.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When it happened; default: now.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Record one event. Exit status 1 if it is refused, or in conflict with the first one of its key."""
    happened = read_moment(at, timezone, "--at")
    more = read_json_object(metadata, "--metadata")
    with ctx.obj.meter() as meter:
        result = meter.record(
            subject,
            metric,
            quantity,
            member=member,
            idempotency_key=idempotency_key,
            at=happened,
            metadata=more,
        )
    show(result, Recorded, partial(_recorded, subject, metric), form(as_json))
    if result.outcome == "conflict":
        raise typer.Exit(SAYS_NO)


def _recorded(subject: str, metric: str, result: Recorded) -> RenderableType:
    when = window(result.period_start, result.period_end)
    now = f"{metric} of {subject} is now {number(result.quantity)} {result.unit}"
    line = f"{result.outcome}: event {result.event_id}; {now} in {when}"
    if result.outcome != "conflict":
        return good(line)
    return Group(
        bad(line), note("  the key was used before, with another quantity or member; the first one counts")
    )


def import_(
    ctx: Context,
    files: Annotated[
        list[str], typer.Argument(help="Files of events, gzipped or not; - for standard input.")
    ],
    format: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", help="csv, jsonl or cloudevents; guessed from the name and the lines."
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="field=column, where names differ; metadata.NAME=column too; in JSON with dots."
        ),
    ] = None,
    constants: Annotated[
        list[str] | None, typer.Option("--set", help="field=value for all events, such as metric=tokens.")
    ] = None,
    header: Annotated[
        bool, typer.Option(help="Whether a CSV file has one; without, columns are 1, 2, 3 ...")
    ] = True,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV; default: comma, tab for .tsv.")] = None,
    timezone: Zone = "UTC",
    unkeyed: Annotated[
        str,
        typer.Option(
            help="Lines without a key: derive one from the whole file's content and the line's place in it; "
            "count them at every import; or reject them."
        ),
    ] = "derive",
    source: Annotated[
        str | None,
        typer.Option(
            help="Name to derive keys from, with the line's number and text, instead of the file's content. "
            "Streams need it."
        ),
    ] = None,
    grown: Annotated[
        bool,
        typer.Option(
            "--grown",
            help="The file may have grown since it was imported: only the new lines at its end count.",
        ),
    ] = False,
    extra: Annotated[
        str, typer.Option(help="Columns that are no fields: refuse, keep as metadata, or ignore.")
    ] = "refuse",
    batch_size: Annotated[int, typer.Option(min=1, max=10000, help="Lines in one transaction.")] = 1000,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Where lines that were not counted go; default: FILE.rejects.jsonl in the current directory."
        ),
    ] = None,
    trim: Annotated[
        bool, typer.Option(help="Remove white space around subjects, metrics, members and keys.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen to every line, and record nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import events from CSV, JSON or CloudEvents 1.0 files.

    The fields are subject, metric, quantity, member, idempotency_key, at and metadata (JSON); an empty cell
    is null. A field that some lines of JSON lack is mapped with a question mark: --map 'member?=user.id'.

    Importing a file again counts nothing twice, so after an interruption run the same command again. Without
    keys a file is known by its content, not by its name: a copy is the same file, a changed file is another
    one, and all its lines count. So import mended lines in a file of their own. Where a file has only grown
    at its end, such as a log, --grown counts the new lines; without it such a file is refused, since nobody
    can tell whether its first lines are new events. With --source NAME a line is known by NAME, its number
    and its text instead. Streams (-, pipes) always need that.

    CloudEvents: subject; type is the metric, source and id together are the key, time is the time;
    data.quantity or data.member; the rest of data becomes the metadata. An event without time is rejected;
    with --map 'at?=time' it counts at the time when it is imported.

    Exit status 1 if lines were rejected or in conflict: they are in the rejects file with number and reason.
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

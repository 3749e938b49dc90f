"""Shows an import: its progress, and the outcome of its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.progress import TaskProgressColumn, TextColumn
from rich.text import Text

from pymeter.cli.output import number, print_json, progress, stdout, table
from pymeter.importing import ImportOptions, ImportReport
from pymeter.visible import visible

_REASONS_MAX = 5


class ImportBar:
    """A progress bar on standard error: by bytes where the size is known."""

    def __init__(self, report: ImportReport) -> None:
        path = Path(report.file)
        size = path.stat().st_size if report.file != "-" and path.is_file() else None
        self._bar = progress(
            *([TaskProgressColumn()] if size else []), TextColumn("{task.fields[lines]} lines", style="dim")
        )
        title = visible(path.name) if size else "standard input"
        self._task = self._bar.add_task(title, total=size, lines=0)

    def __enter__(self) -> ImportBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, report: ImportReport, bytes_read: int, /) -> None:
        self._bar.update(self._task, completed=bytes_read or None, lines=number(report.lines))


def print_reports(reports: list[ImportReport], as_json: bool, options: ImportOptions) -> None:
    """The outcome of the lines."""
    if not reports:
        return
    if as_json:
        print_json(reports[0].as_dict() if len(reports) == 1 else [report.as_dict() for report in reports])
        return
    staged = ("staged",) if any(report.staged for report in reports) else ()
    columns = ("lines", *(staged or ("recorded",)), "duplicate", "conflict", "rejected", "lines/s")
    result = table("file", *columns, numbers=columns)
    for report in reports:
        result.add_row(
            Path(report.file).name or "-",
            number(report.lines),
            number(report.staged if staged else report.recorded),
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

"""Commands that read the log: events, export."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pymeter import exact_json
from pymeter.cli.exporting import ExportedEvent, Reasons, exported_rows
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    AsOf,
    OnlyMetric,
    Since,
    Until,
    Zone,
    form,
    read_moment,
    read_window,
    read_zone,
)
from pymeter.cli.output import (
    Form,
    counted,
    good,
    moment,
    note,
    number,
    recorded_up_to,
    show,
    stderr,
    stdout,
    table,
    write_csv,
)
from pymeter.cli.target import Context
from pymeter.models import Event
from pymeter.plain import plain
from pymeter.visible import visible

_WIDE = 100
_PAGE_MAX = 10_000


def events(
    ctx: Context,
    subject: Annotated[str | None, typer.Argument(help="Whose events; or give --all.")] = None,
    metric: OnlyMetric = None,
    since: Since = None,
    until: Until = None,
    everybody: Annotated[bool, typer.Option("--all", help="All subjects, latest recorded first.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 20,
    after_id: Annotated[int | None, typer.Option(help="Show older events than this one.")] = None,
    as_of: AsOf = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the newest events of a subject, or of all.

        pymeter events acct_1 --metric tokens
        pymeter events --all

    They are what a total consists of.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    final = read_moment(as_of, timezone, "--as-of")
    read_zone(timezone)
    _check_whose(subject, everybody)
    if everybody and final is not None:
        raise typer.BadParameter("a watermark is of one subject: give the subject instead of --all")
    with ctx.obj.meter() as meter:
        if subject is None:
            rows = meter.all_events(metric, since=start, until=end, after_id=after_id, max_rows=limit)
        else:
            rows = meter.events(
                subject, metric, since=start, until=end, after_id=after_id, max_rows=limit, as_of=final
            )
    if wanted is Form.csv:
        write_csv(sys.stdout, Event, rows, mark_escaped=True)
        return
    if wanted is Form.table and final is not None:
        stdout().print(note(recorded_up_to(final, timezone)))
    show(rows, Event, lambda page: _drawn(page, timezone, everybody), wanted)
    if wanted is Form.table and len(rows) == limit:
        stdout().print(note(f"next page: --after-id {rows[-1].event_id}"))


def _check_whose(subject: str | None, everybody: bool) -> None:
    if (subject is None) != everybody:
        raise typer.BadParameter("give a subject, or --all for all of them")


def _drawn(rows: list[Event], timezone: str, everybody: bool) -> Table | Text:
    return events_table(rows, timezone, with_subject=everybody) if rows else note("no events")


def events_table(rows: list[Event], timezone: str = "UTC", *, with_subject: bool = False) -> Table:
    """Events as people read them. On a narrow terminal the metadata stand below the key."""
    at = f"at ({timezone})"
    narrow = stdout().width < _WIDE
    last = ["key, metadata"] if narrow else ["key", "metadata"]
    by_id = {row.event_id: row for row in rows}
    gone = _gone(rows)
    corrected = any(row.kind != "usage" or row.correction_id is not None for row in rows)
    last = [*(["correction"] if corrected else []), *last]
    result = table(
        *("event", at, *(["subject"] if with_subject else []), "metric", "quantity", *last),
        numbers=("event", "quantity"),
        unfolded=(at, "metric"),
    )
    for row in rows:
        about = " ".join(f"{name}={_short(value)}" for name, value in (row.metadata or {}).items())
        key, details = Text(visible(row.idempotency_key or "-")), Text(visible(about), style="dim")
        result.add_row(
            str(row.event_id),
            moment(row.at.replace(microsecond=0), timezone),
            *([Text(visible(row.subject))] if with_subject else []),
            row.metric,
            _amount(row, restored=_restores(row, by_id) is not None),
            *([_correction(row, by_id)] if corrected else []),
            *([Group(key, details) if about else key] if narrow else [key, details]),
            style="dim" if row.event_id in gone else None,
        )
    return result


def _amount(row: Event, *, restored: bool) -> str:
    """The quantity, or the member; that of a void with a minus, as a quantity has one."""
    if row.member is None:
        return number(row.quantity)
    return f"-{row.member}" if row.kind == "void" and not restored else row.member


def _gone(rows: list[Event]) -> set[int]:
    """The rows that a later one of the page takes back, itself not taken back."""
    gone: set[int] = set()
    for row in sorted(rows, key=lambda row: row.event_id, reverse=True):
        if row.kind == "void" and row.corrects is not None and row.event_id not in gone:
            gone.add(row.corrects)
    return gone


def _restores(row: Event, by_id: Mapping[int, Event]) -> int | None:
    """The event that counts again by the row: the row is a void of its void, which is on the page too."""
    voided = by_id.get(row.corrects) if row.kind == "void" and row.corrects is not None else None
    return voided.corrects if voided is not None and voided.kind == "void" else None


def _correction(row: Event, by_id: Mapping[int, Event]) -> str:
    """What a correction has to do with the row: void of 17 (3), amends 17 (3), adjustment (3).

    A void of a void that is on the page restores an event: restores 17 (4).
    """
    if row.correction_id is None:
        return ""
    restored = _restores(row, by_id)
    if restored is not None:
        return f"restores {restored} ({row.correction_id})"
    what = {"void": f"void of {row.corrects}", "adjustment": "adjustment"}.get(row.kind) or (
        "recorded" if row.corrects is None else f"amends {row.corrects}"
    )
    return f"{what} ({row.correction_id})"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else exact_json.dumps(value)


def export(
    ctx: Context,
    subject: Annotated[str | None, typer.Argument(help="Whose events; or give --all.")] = None,
    metric: OnlyMetric = None,
    since: Since = None,
    until: Until = None,
    everybody: Annotated[bool, typer.Option("--all", help="All subjects.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file; .gz compresses. Default: standard output."),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="CSV without apostrophes before spreadsheet formulas."),
    ] = False,
    timezone: Zone = "UTC",
    as_json: Annotated[bool, typer.Option("--json", "--jsonl", help="JSON Lines instead of CSV.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV: the default, unless the file is .jsonl.")
    ] = False,
) -> None:
    """Write events to a file that `pymeter import` reads.

        pymeter export acct_1 --since 2026-06-01 -o june.csv.gz
        pymeter export --all --metric tokens -o tokens.jsonl

    Newest first, as CSV or JSON Lines. Another meter that imports the file counts every event once; this
    meter counts none of them again. What corrections did is exported and imported, too.
    """
    wanted = form(as_json, as_csv)
    if wanted is Form.table:
        named_json = output is not None and {".json", ".jsonl", ".ndjson"} & set(output.suffixes)
        wanted = Form.json if named_json else Form.csv
    _check_whose(subject, everybody)
    start, end = read_window(since, until, timezone)
    if subject is not None:
        who = [subject]
    else:
        # In one snapshot: a subject that records between two pages would move, and be missed.
        with ctx.obj.snapshot() as snapshot:
            who = [row.subject for row in snapshot.iter_subjects(page_size=_PAGE_MAX)]
    with ctx.obj.meter() as meter:
        pages = (meter.iter_events(one, metric, since=start, until=end) for one in who)
        reasons = Reasons(meter)
        rows = (row for events in pages for row in exported_rows(events, reasons))
        with _open_output(output) as stream:
            if wanted is Form.json:
                count = _write_jsonl(stream, rows)
            else:
                count = write_csv(stream, ExportedEvent, rows, raw=raw, mark_escaped=True)
    if output is not None:
        stderr().print(good(f"{counted(count, 'event')} in {output}"))


def _write_jsonl(stream: IO[str], rows: Iterable[ExportedEvent]) -> int:
    count = 0
    for row in rows:
        stream.write(exact_json.dumps(plain(row)) + "\n")
        count += 1
    return count


@contextmanager
def _open_output(path: Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
    elif path.suffix == ".gz":
        with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
            yield stream
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            yield stream

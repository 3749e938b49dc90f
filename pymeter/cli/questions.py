"""Commands that read: usage, summary, totals, series, check, subjects, events, export."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pymeter import exact_json
from pymeter.cli.chart import chart
from pymeter.cli.errors import COULD_NOT_RUN, SAYS_NO, fail
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MetricKey,
    OnlyMetric,
    PeriodOption,
    Since,
    Subject,
    Until,
    Zone,
    form,
    read_moment,
    read_zone,
)
from pymeter.cli.output import (
    Form,
    bad,
    counted,
    good,
    moment,
    note,
    number,
    plain,
    show,
    stderr,
    stdout,
    table,
    window,
    write_csv,
)
from pymeter.cli.target import Context
from pymeter.cli.visible import visible
from pymeter.errors import MeterError
from pymeter.models import (
    Event,
    QuotaStatus,
    SubjectActivity,
    SubjectTotal,
    UsageBucket,
    UsageGroup,
    UsageTotal,
)

_PAGE_MAX = 10_000
_WIDE = 100


def usage(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = "UTC",
    by: Annotated[str | None, typer.Option(help="Group by this field of the metadata.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the usage of one metric in a window; by default in its current period."""
    wanted = form(as_json, as_csv)
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    with ctx.obj.meter() as meter:
        total = meter.usage(subject, metric, period=period, since=start, until=end, timezone=timezone)
        groups = (
            meter.usage_by(subject, metric, by, period=period, since=start, until=end, timezone=timezone)
            if by is not None
            else None
        )
    if groups is None:
        show(total, UsageTotal, lambda one: _totals(subject, [one], timezone), wanted)
    else:
        title, around = f"{metric} of {subject} by {by}", window(total.since, total.until, timezone)
        show(groups, UsageGroup, partial(_groups, title, around, by or "", total.unit), wanted)


def _groups(title: str, around: str, by: str, unit: str, groups: list[UsageGroup]) -> RenderableType:
    result = table(by, unit, "events", numbers=(unit, "events"))
    for group in groups:
        name = Text(group.value) if group.value is not None else Text("(none)", style="dim")
        result.add_row(name, number(group.quantity), number(group.event_count))
    return _titled(title, around, result)


def summary(
    ctx: Context,
    subject: Subject,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show an invoice's lines: every metric's usage in a window; by default its current period."""
    wanted = form(as_json, as_csv)
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    with ctx.obj.meter() as meter:
        totals = meter.summary(subject, period=period, since=start, until=end, timezone=timezone)
    show(totals, UsageTotal, lambda rows: _totals(subject, rows, timezone), wanted)


def totals(
    ctx: Context,
    metric: MetricKey,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the usage of one metric by every subject in a window; by default in its current period."""
    wanted = form(as_json, as_csv)
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    with ctx.obj.snapshot() as meter:
        found = meter.iter_totals(
            metric, period=period, since=start, until=end, timezone=timezone, page_size=_PAGE_MAX
        )
        rows = list(found)
    show(rows, SubjectTotal, _totals_table, wanted)


def _totals_table(rows: list[SubjectTotal]) -> RenderableType:
    if not rows:
        return note("no usage in this window")
    result = table("subject", "quantity", "events", numbers=("quantity", "events"))
    for row in rows:
        result.add_row(row.subject, number(row.quantity), number(row.event_count))
    return result


def _totals(subject: str, totals: list[UsageTotal], timezone: str) -> RenderableType:
    windows = {(total.since, total.until) for total in totals}
    same = len(windows) == 1
    result = table(
        "metric", "quantity", "unit", "events", *([] if same else ["window"]), numbers=("quantity", "events")
    )
    for total in totals:
        when = [] if same else [window(total.since, total.until, timezone)]
        unit = total.unit + (f" ({total.aggregate})" if total.aggregate not in {"sum", "count"} else "")
        result.add_row(
            total.metric,
            number(None if _is_missing(total) else total.quantity),
            unit,
            number(total.event_count),
            *when,
            style=None if total.has_data else "dim",
        )
    return _titled(subject, window(*windows.pop(), timezone) if same else "", result)


def _is_missing(total: UsageTotal) -> bool:
    """Whether 0 would claim a value that nothing has recorded."""
    return not total.has_data and total.aggregate in {"min", "max", "avg", "last"}


def _titled(title: str, around: str, result: RenderableType) -> RenderableType:
    return Group(Text.assemble((visible(title), "bold"), (f"  {around}", "dim")), result)


def series(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    step: Annotated[
        str | None,
        typer.Option(help="minute, hour, day, week, month, year, or a duration; default: what fits."),
    ] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Draw the usage of one metric over time; by default this month's days."""
    wanted = form(as_json, as_csv)
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    with ctx.obj.meter() as meter:
        if start is None and end is None:
            period = period or "month"
        elif start is not None and end is None and period is None:
            end = datetime.now(read_zone(timezone))
        around = meter.resolve_window(period, since=start, until=end, timezone=timezone)
        if around.since is None or around.until is None:
            raise typer.BadParameter("a series needs a window with two ends: give --period, or --since")
        step = step or _fitting_step(around.until - around.since)
        buckets = meter.series(subject, metric, around.since, around.until, step=step, timezone=timezone)
        unit = meter.usage(subject, metric).unit
    title = Text(visible(f"{metric} of {subject} in {unit} per {step}"), style="bold")
    show(buckets, UsageBucket, lambda rows: Group(title, chart(rows, stdout(), timezone, unit)), wanted)


def _fitting_step(length: timedelta) -> str:
    if length <= timedelta(hours=3):
        return "minute"
    if length <= timedelta(days=4):
        return "hour"
    return "day" if length <= timedelta(days=120) else "month"


def check(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    quota: Annotated[str, typer.Argument(help="The most that may be used in the window.")],
    requested: Annotated[str | None, typer.Argument(help="Whether this much more would fit.")] = None,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Check a quota: exit status 0 if there is room, 1 if there is not, 2 if that could not be found out."""
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    try:
        with ctx.obj.meter() as meter:
            status = meter.check_quota(
                subject, metric, quota, requested, period=period, since=start, until=end, timezone=timezone
            )
    except MeterError as error:
        fail(error, COULD_NOT_RUN)  # a script would take 1 for: over quota
    show(status, QuotaStatus, _verdict, form(as_json))
    if not status.allowed:
        raise typer.Exit(SAYS_NO)


def _verdict(status: QuotaStatus) -> Text:
    return good(f"allowed: {room(status)}") if status.allowed else bad(f"refused: {room(status)}")


def room(status: QuotaStatus) -> str:
    """What a quota leaves, as a sentence."""
    used, quota, left = number(status.used), number(status.quota), number(status.remaining)
    return f"{used} of {quota} {status.unit} used, {left} left"


def subjects(
    ctx: Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the subjects that were active last, most recent first."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.snapshot() as meter:
        rows = list(islice(meter.iter_subjects(page_size=min(limit, _PAGE_MAX)), limit))
    show(rows, SubjectActivity, lambda found: _subjects_table(found, timezone), wanted)


def _subjects_table(rows: list[SubjectActivity], timezone: str) -> RenderableType:
    if not rows:
        return note("no usage has been recorded yet")
    result = table("subject", f"last activity ({timezone})")
    for row in rows:
        result.add_row(row.subject, moment(row.last_activity_at, timezone))
    return result


def events(
    ctx: Context,
    subject: Subject,
    metric: OnlyMetric = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 20,
    after_id: Annotated[int | None, typer.Option(help="The page that follows this event.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the newest events of a subject: what a total consists of."""
    wanted = form(as_json, as_csv)
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        rows = meter.events(subject, metric, since=start, until=end, after_id=after_id, max_rows=limit)
    if wanted is Form.csv:
        write_csv(sys.stdout, Event, rows, mark_escaped=True)
        return
    show(rows, Event, lambda page: events_table(page, timezone) if page else note("no events"), wanted)
    if wanted is Form.table and len(rows) == limit:
        stdout().print(note(f"next page: --after-id {rows[-1].event_id}"))


def events_table(rows: list[Event], timezone: str = "UTC") -> Table:
    """Events as people read them. On a narrow terminal the metadata stand below the key."""
    at = f"at ({timezone})"
    narrow = stdout().width < _WIDE
    last = ["key, metadata"] if narrow else ["key", "metadata"]
    result = table(
        "event", at, "metric", "quantity", *last, numbers=("event", "quantity"), unfolded=(at, "metric")
    )
    for row in rows:
        about = " ".join(f"{name}={_short(value)}" for name, value in (row.metadata or {}).items())
        key, details = Text(visible(row.idempotency_key or "-")), Text(visible(about), style="dim")
        result.add_row(
            str(row.event_id),
            moment(row.at.replace(microsecond=0), timezone),
            row.metric,
            row.member if row.member is not None else number(row.quantity),
            *([Group(key, details) if about else key] if narrow else [key, details]),
        )
    return result


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
        typer.Option(
            "--output", "-o", help="A file; gzipped if its name ends in .gz. Default: standard output."
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="CSV without the apostrophe before texts that a spreadsheet would run as formulas."
        ),
    ] = False,
    timezone: Zone = "UTC",
    as_json: Annotated[bool, typer.Option("--json", "--jsonl", help="JSON Lines instead of CSV.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV (the default, unless the file's name says JSON).")
    ] = False,
) -> None:
    """Write events to a file that `pymeter import` reads: CSV or JSON Lines, newest first.

    Imported into another meter, every event counts once, however often the file comes; imported into its own
    meter, everything is a duplicate: events without a key are known by event_id and recorded_at. Events of
    one time are written in the order of their recording, so the newest of a `last` metric stays the newest.

    In CSV a text that a spreadsheet would run as a formula begins with an apostrophe, and the column
    `escaped` says where; the import takes it away. --raw writes texts as they are.
    """
    wanted = form(as_json, as_csv)
    if wanted is Form.table:
        named_json = output is not None and {".json", ".jsonl", ".ndjson"} & set(output.suffixes)
        wanted = Form.json if named_json else Form.csv
    if (subject is None) != everybody:
        raise typer.BadParameter("give a subject, or --all for all of them")
    start, end = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    if subject is not None:
        who = [subject]
    else:
        # In one snapshot: a subject that records between two pages would move, and be missed.
        with ctx.obj.snapshot() as snapshot:
            who = [row.subject for row in snapshot.iter_subjects(page_size=_PAGE_MAX)]
    with ctx.obj.meter() as meter:
        pages = (meter.iter_events(one, metric, since=start, until=end) for one in who)
        rows = (event for events in pages for event in _as_recorded(events))
        with _open_output(output) as stream:
            if wanted is Form.json:
                count = _write_jsonl(stream, rows)
            else:
                count = write_csv(stream, Event, rows, raw=raw, mark_escaped=True)
    if output is not None:
        stderr().print(good(f"{counted(count, 'event')} in {output}"))


def _as_recorded(events: Iterable[Event]) -> Iterator[Event]:
    """Newest first, but events of one time in the order of their recording: the last of them counts."""
    for _, same in groupby(events, key=attrgetter("at")):
        yield from reversed(list(same))


def _write_jsonl(stream: IO[str], rows: Iterable[Event]) -> int:
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

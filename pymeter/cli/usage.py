"""Commands that read usage: usage, summary, totals, series, check, subjects."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.chart import chart
from pymeter.cli.errors import COULD_NOT_RUN, SAYS_NO, fail
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    AsOf,
    MetricKey,
    PeriodOption,
    Since,
    Subject,
    Until,
    Zone,
    form,
    read_moment,
    read_window,
    read_zone,
)
from pymeter.cli.output import (
    bad,
    good,
    moment,
    note,
    number,
    recorded_up_to,
    show,
    stdout,
    table,
    window,
)
from pymeter.cli.target import Context
from pymeter.errors import MeterError
from pymeter.models import QuotaStatus, SubjectActivity, SubjectTotal, UsageBucket, UsageGroup, UsageTotal
from pymeter.visible import visible

_PAGE_MAX = 10_000


def usage(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    timezone: Zone = "UTC",
    by: Annotated[str | None, typer.Option(help="Group by this field of the metadata.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the usage of one metric by a subject.

    The default window is the metric's current period.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    final = read_moment(as_of, timezone, "--as-of")
    if by is not None and as_of is not None:
        raise typer.BadParameter("--by and --as-of exclude each other")
    with ctx.obj.meter() as meter:
        total = meter.usage(
            subject, metric, period=period, since=start, until=end, timezone=timezone, as_of=final
        )
        groups = (
            meter.usage_by(subject, metric, by, period=period, since=start, until=end, timezone=timezone)
            if by is not None
            else None
        )
    if groups is None:
        show(total, UsageTotal, lambda one: _totals(subject, [one], timezone, final), wanted)
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
    as_of: AsOf = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show all usage of a subject: an invoice's lines.

    The default window is each metric's current period.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    final = read_moment(as_of, timezone, "--as-of")
    with ctx.obj.meter() as meter:
        totals = meter.summary(subject, period=period, since=start, until=end, timezone=timezone, as_of=final)
    show(totals, UsageTotal, lambda rows: _totals(subject, rows, timezone, final), wanted)


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
    """Show the usage of one metric by every subject.

    The default window is the metric's current period.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
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


def _totals(
    subject: str, totals: list[UsageTotal], timezone: str, as_of: datetime | None = None
) -> RenderableType:
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
    around = window(*windows.pop(), timezone) if same else ""
    return _titled(subject, around, result, recorded_up_to(as_of, timezone))


def _is_missing(total: UsageTotal) -> bool:
    """Whether 0 would claim a value that nothing has recorded."""
    return not total.has_data and total.aggregate in {"min", "max", "avg", "last"}


def _titled(title: str, around: str, result: RenderableType, as_of: str = "") -> RenderableType:
    header = Text.assemble((visible(title), "bold"), (f"  {around}", "dim"))
    return Group(header, *([note(as_of)] if as_of else []), result)


def series(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    step: Annotated[
        str | None,
        typer.Option(help="minute, hour, day, week, month, year, cycle; or a duration."),
    ] = None,
    as_of: AsOf = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Draw the usage of one metric over time.

    The default is the days of this month.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    final = read_moment(as_of, timezone, "--as-of")
    with ctx.obj.meter() as meter:
        if start is None and end is None:
            period = period or "month"
        elif start is not None and end is None and period is None:
            end = datetime.now(read_zone(timezone))
        if (period or "").strip().lower() == "cycle":
            cycle = meter.usage(subject, metric, period=period, since=start, until=end, timezone=timezone)
            period, start, end = None, cycle.since, cycle.until
        around = meter.resolve_window(period, since=start, until=end, timezone=timezone)
        if around.since is None or around.until is None:
            raise typer.BadParameter("a series needs a window with two ends: give --period, or --since")
        step = step or _fitting_step(around.until - around.since)
        buckets = meter.series(
            subject, metric, around.since, around.until, step=step, timezone=timezone, as_of=final
        )
        unit = meter.usage(subject, metric).unit
    title = Text(visible(f"{metric} of {subject} in {unit} per {step}"), style="bold")
    header = [title, *([note(recorded_up_to(final, timezone))] if final is not None else [])]
    show(buckets, UsageBucket, lambda rows: Group(*header, chart(rows, stdout(), timezone, unit)), wanted)


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
    quota: Annotated[
        str | None, typer.Argument(help="The most that may be used. Default: the limits decide.")
    ] = None,
    requested: Annotated[str | None, typer.Argument(help="Check for this much more.")] = None,
    more: Annotated[
        str | None, typer.Option("--requested", "-r", help="The same, where no quota is given.")
    ] = None,
    period: PeriodOption = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Check whether a quota, or the limits, have room.

        pymeter check acct_1 tokens --requested 500
        pymeter check acct_1 tokens 1000000 500 --period month

    Exit status 0: it has room; 1: it has none; 2: the check could not run.
    """
    if requested is not None and more is not None:
        raise typer.BadParameter("REQUESTED and --requested are the same: give one of them")
    start, end = read_window(since, until, timezone)
    try:
        with ctx.obj.meter() as meter:
            status = meter.check_quota(
                subject,
                metric,
                quota,
                requested if more is None else more,
                period=period,
                since=start,
                until=end,
                timezone=timezone,
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
    if status.quota is None:
        return f"{number(status.used)} {status.unit} used, no limit"
    used, quota, left = number(status.used), number(status.quota), number(status.remaining)
    over = f", {number(status.overrun)} too much" if status.overrun and status.limited_by else ""
    limit = f" (limit {status.limited_by})" if status.limited_by else ""
    held = f", {number(status.held)} held" if status.held else ""
    return f"{used} of {quota} {status.unit} used{held}, {left} left{over}{limit}"


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

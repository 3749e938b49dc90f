"""Asking the biller what it has counted: to resolve what is uncertain, and to compare.

What a total means is decided by the database's functions; here it is only asked for, in few calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

from pymeter import calls
from pymeter.models import ReconcilableRange, Reconciliation, ReportStep, UncertainHour
from pymeter.report.biller import BillerError, BillerUnavailable, Failure, Total
from pymeter.report.core import Core
from pymeter.report.steps import AskCountingSince, AskFailures, AskTotals, Steps

Row = TypeVar("Row", UncertainHour, ReconcilableRange)

_SPAN_MAX = 100  # hours or days that a biller lists on one page
_ROWS = 100
_STEPS: dict[ReportStep, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True)
class Span(Generic[Row]):
    """Rows of one customer and event name that one call can answer."""

    customer: str
    event_name: str
    since: datetime
    until: datetime
    rows: Sequence[Row]


def spans(rows: Sequence[Row], start: Callable[[Row], datetime], step: ReportStep) -> Iterator[Span[Row]]:
    """Put rows of one customer together, as far as they lie close enough; in the order of each first row."""
    by_lane: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_lane.setdefault((row.customer, row.event_name), []).append(row)
    for (customer, event_name), of_lane in by_lane.items():
        of_lane.sort(key=start)
        while of_lane:
            since = start(of_lane[0])
            until = since + _SPAN_MAX * _STEPS[step]
            near = [row for row in of_lane if start(row) < until]
            yield Span(customer, event_name, since, start(near[-1]) + _STEPS[step], near)
            of_lane = of_lane[len(near) :]


def _ask(core: Core, span: Span[Row], step: ReportStep) -> Steps[dict[datetime, Decimal] | None]:
    """Totals by the beginning of each hour or day; None: no answer to be had, which has been told."""
    if not (yield from core.wait_for_slot()):
        return None
    try:
        totals: Sequence[Total] = yield AskTotals(
            span.customer, span.event_name, span.since, span.until, step
        )
    except BillerError as error:
        core.tell(f"no totals of {span.customer}, {span.event_name}: {error}")
        if isinstance(error, BillerUnavailable):
            core.pace.slow_down()
        return None
    by_start: dict[datetime, Decimal] = {}
    for total in totals:
        by_start[total.start] = by_start.get(total.start, Decimal(0)) + total.value
    return by_start


# --- uncertain pushes ---------------------------------------------------------------------------------------


def resolve(core: Core) -> Steps[int]:
    """Resolve what the biller's totals can resolve; returns how many pushes were planned anew."""
    name = core.options.biller_name
    asked: set[tuple[str, str, datetime]] = set()
    planned_anew = 0
    while not core.halted:
        rows = yield from core.ask(calls.uncertain_hours(name, _ROWS, now=core.now))
        fresh = [row for row in rows if (row.customer, row.event_name, row.hour) not in asked]
        if not fresh:
            break
        asked |= {(row.customer, row.event_name, row.hour) for row in fresh}
        for span in spans(fresh, lambda row: row.hour, "hour"):
            totals = yield from _ask(core, span, "hour")
            if totals is None:
                continue
            counting_since: datetime | None = yield AskCountingSince(span.event_name)
            for row in span.rows:
                verdict = yield from core.ask(
                    calls.settle_hour(
                        name,
                        row.customer,
                        row.event_name,
                        row.hour,
                        totals.get(row.hour, Decimal(0)),
                        delivered_total=row.delivered_total,
                        counting_since=counting_since,
                        now=core.now,
                    )
                )
                planned_anew += verdict.absent
                for observer in core.everyone:
                    observer.resolved(verdict.present, verdict.absent)
    return planned_anew


# --- comparing ----------------------------------------------------------------------------------------------


@dataclass
class Comparison:
    """What a reconciliation has found."""

    compared: list[Reconciliation] = field(default_factory=list)
    unanswered: int = 0
    """Ranges that the biller did not tell the total of."""
    reads: int = 0

    @property
    def different(self) -> list[Reconciliation]:
        """Those whose totals are not equal, the largest difference first."""
        found = [row for row in self.compared if row.difference]
        return sorted(found, key=lambda row: abs(row.difference or Decimal(0)), reverse=True)


def compare(
    core: Core,
    *,
    step: ReportStep = "day",
    reads_max: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Steps[Comparison]:
    """Compare what was delivered with the biller's totals, the most pressing first, in so many reads."""
    name = core.options.biller_name
    result = Comparison()
    rows = yield from core.ask(
        calls.reconcilable_ranges(name, step, reads_max * _ROWS, since=since, until=until, now=core.now)
    )
    for span in spans(rows, lambda row: row.range_start, step):
        if result.reads >= reads_max or core.halted:
            break
        result.reads += 1
        totals = yield from _ask(core, span, step)
        if totals is None:
            result.unanswered += len(span.rows)
            continue
        for row in span.rows:
            found = yield from core.ask(
                calls.reconcile_range(
                    name,
                    row.customer,
                    row.event_name,
                    row.range_start,
                    step,
                    totals.get(row.range_start, Decimal(0)),
                    now=core.now,
                )
            )
            result.compared.append(found)
    for observer in core.everyone:
        observer.compared(len(result.compared), len(result.different))
    return result


# --- what failed later --------------------------------------------------------------------------------------


def listen(core: Core, since: datetime) -> Steps[None]:
    """Take in what the biller could not count after it had accepted it. That it cannot be asked is told."""
    try:
        reports: Sequence[Failure] = yield AskFailures(since)
    except BillerError as error:
        core.tell(f"no error reports: {error}")
        return
    for report in reports:
        yield from take_in(core, report)


def take_in(core: Core, report: Failure) -> Steps[int]:
    """Mark what a report of failures names, and put up the rest of its time for comparison; once a report."""
    rejected = 0
    for code in dict.fromkeys([*report.codes, *(code for code, _ in report.samples)]) or ["unknown"]:
        rejected += yield from core.ask(
            calls.fail_pushes(
                core.options.biller_name,
                # A report has several codes and a push one, so that each code of a report is a report.
                report.event_id if len(report.codes) <= 1 else f"{report.event_id}/{code}",
                [identifier for of_code, identifier in report.samples if of_code == code],
                code,
                event_name=report.event_name,
                since=report.since,
                until=report.until,
                now=core.now,
            )
        )
    for observer in core.everyone:
        observer.failed_later(rejected)
    return rejected

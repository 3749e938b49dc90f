"""Asking the biller what it has counted: to resolve what is uncertain, and to compare.

What a total means is decided by the database's functions; here it is only asked for, in few calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

import psycopg

from pymeter import calls
from pymeter.calls import Call
from pymeter.errors import MeterError, NotInstalled
from pymeter.models import ReconcilableRange, Reconciliation, ReportStep, UncertainHour
from pymeter.report.biller import BillerError, BillerUnavailable, Failure, Total
from pymeter.report.core import PASSING, Core

T = TypeVar("T")
Row = TypeVar("Row", UncertainHour, ReconcilableRange)

_SPAN_MAX = 100  # hours or days that a biller lists on one page
_ROWS = 100
_ROWS_MAX = 10_000  # that the database returns at once
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


async def _ask(core: Core, span: Span[Row], step: ReportStep) -> dict[datetime, Total] | None:
    """Totals by the beginning of each hour or day; None: no answer to be had, which has been told."""
    if not await core.wait_for_slot():
        return None
    by_start: dict[datetime, Total] = {}
    call, failed = core.progress.begin(), False
    try:
        core.check_biller()
        totals: Sequence[Total] = await core.call(
            core.biller.totals, span.customer, span.event_name, span.since, span.until, step
        )
        for total in totals:
            before = by_start.get(total.start)
            by_start[total.start] = replace(total, value=total.value + before.value) if before else total
    except Exception as error:  # of this customer alone, a mistake in the biller's class included
        core.tell(f"no totals of {span.customer}, {span.event_name}: {_told(error)}")
        failed = isinstance(error, BillerUnavailable)
        if failed:
            core.pace.slow_down()
        return None
    finally:
        core.progress.end(
            call, progress=not failed, unreachable=failed, error="no totals" if failed else None
        )
    return by_start


def _nothing(start: datetime) -> Total:
    """Of an hour or day that the biller does not list."""
    return Total(start, start, Decimal(0))


async def _counting_since(core: Core, event_name: str) -> datetime | None:
    method = getattr(core.biller, "counting_since", None)  # a biller need not have it
    return await core.call(method, event_name) if method else None


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, BillerError | MeterError) else f"{type(error).__name__}: {error}"


async def _of_one(core: Core, row: UncertainHour | ReconcilableRange, call: Call[T]) -> T | None:
    """The call's result; None, with a message, if the database refuses it. The others go on."""
    try:
        return await core.ask(call)
    except PASSING:
        raise
    except (MeterError, psycopg.DataError) as error:
        if isinstance(error, NotInstalled):
            raise
        core.tell(f"{call.function} of {row.customer}, {row.event_name}: {_told(error)}")
        return None


# --- uncertain pushes ---------------------------------------------------------------------------------------


async def resolve(core: Core) -> int:
    """Resolve what the biller's totals can resolve; returns how many pushes were planned anew."""
    name = core.options.biller_name
    asked: set[tuple[str, str, datetime]] = set()
    planned_anew = 0
    while not core.halted and not core.out_of_patience:
        # Hours without an answer stay on the list: they must not hide those behind them.
        most = min(len(asked) + _ROWS, _ROWS_MAX)
        rows = await core.ask(calls.uncertain_hours(name, most, now=core.now))
        fresh = [row for row in rows if (row.customer, row.event_name, row.hour) not in asked]
        if not fresh:
            break
        asked |= {(row.customer, row.event_name, row.hour) for row in fresh}
        for span in spans(fresh, lambda row: row.hour, "hour"):
            totals = await _ask(core, span, "hour")
            if totals is None:
                continue
            counting_since = await _counting_since(core, span.event_name)
            for row in span.rows:
                total = totals.get(row.hour) or _nothing(row.hour)
                verdict = await _of_one(
                    core,
                    row,
                    calls.settle_hour(
                        name,
                        row.customer,
                        row.event_name,
                        row.hour,
                        total.value,
                        delivered_total=row.delivered_total,
                        counting_since=counting_since,
                        identifiers=None if total.identifiers is None else sorted(total.identifiers),
                        now=core.now,
                    ),
                )
                if verdict is None:
                    continue
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


async def compare(
    core: Core,
    *,
    step: ReportStep = "day",
    reads_max: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Comparison:
    """Compare what was delivered with the biller's totals, the most pressing first, in so many reads."""
    name = core.options.biller_name
    result = Comparison()
    asked: set[tuple[str, str, datetime]] = set()
    while result.reads < reads_max and not core.halted:
        most = min((reads_max - result.reads) * _ROWS, _ROWS_MAX)
        rows = await core.ask(
            calls.reconcilable_ranges(name, step, most, since=since, until=until, now=core.now)
        )
        fresh = [row for row in rows if (row.customer, row.event_name, row.range_start) not in asked]
        if not fresh:
            break
        asked |= {(row.customer, row.event_name, row.range_start) for row in fresh}
        for span in spans(fresh, lambda row: row.range_start, step):
            if result.reads >= reads_max or core.halted:
                break
            result.reads += 1
            await _compare_span(core, span, step, result)
    for observer in core.everyone:
        observer.compared(len(result.compared), len(result.different))
    return result


async def _compare_span(
    core: Core, span: Span[ReconcilableRange], step: ReportStep, result: Comparison
) -> None:
    totals = await _ask(core, span, step)
    if totals is None:
        result.unanswered += len(span.rows)
        return
    for row in span.rows:
        total = totals.get(row.range_start) or _nothing(row.range_start)
        call = calls.reconcile_range(
            core.options.biller_name,
            row.customer,
            row.event_name,
            row.range_start,
            step,
            total.value,
            now=core.now,
        )
        found = await _of_one(core, row, call)
        if found is None:
            result.unanswered += 1
        else:
            result.compared.append(found)


# --- what failed later --------------------------------------------------------------------------------------


async def listen(core: Core, since: datetime) -> None:
    """Take in what the biller could not count after it had accepted it. That it cannot be asked is told."""
    try:
        core.check_biller()
        reports: Sequence[Failure] = await core.call(core.biller.failures, since)
    except Exception as error:
        core.tell(f"no error reports: {_told(error)}")
        return
    for report in reports:
        try:
            await take_in(core, report)
        except PASSING:
            raise
        except (MeterError, psycopg.DataError) as error:
            if isinstance(error, NotInstalled):
                raise
            core.tell(f"the error report {report.event_id}: {_told(error)}")


async def take_in(core: Core, report: Failure) -> int:
    """Mark what a report of failures names, and put up the rest of its time for comparison; once a report."""
    rejected = 0
    for code in dict.fromkeys([*report.codes, *(code for code, _ in report.samples)]) or ["unknown"]:
        rejected += await core.ask(
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

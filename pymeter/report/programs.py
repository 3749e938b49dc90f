"""The reporter's programs: one run, and one that never ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from pymeter import calls
from pymeter.errors import ReportingStopped
from pymeter.models import PushStatus, ReportStep
from pymeter.report.asking import Comparison, compare, listen, resolve, take_in
from pymeter.report.biller import BillerError, BillerRefused, Failure
from pymeter.report.core import Core
from pymeter.report.observing import Summary
from pymeter.report.sending import deliver, plan
from pymeter.report.steps import AskFailure, Sleep, Steps

_ERRORS_KEPT = timedelta(days=30)
_ERRORS_OVERLAP = timedelta(hours=1)
_LISTEN_SECONDS = 900.0
_DAY_SECONDS = 86400.0


def once(core: Core, *, open_hours: bool = True) -> Steps[Summary]:
    """Plan and send all that is due, resolve what is uncertain, and say how things stand."""
    began = core.monotonic()
    core.biller.check()
    yield from _round(core, open_hours=open_hours, plan_every=None)
    if not core.halted:
        yield from listen(core, core.time() - _ERRORS_KEPT)
    return (yield from _summary(core, began))


@dataclass
class _Allowance:
    """Reads that compare are paid from a purse that fills as time passes: the account has few of them."""

    a_day: float
    filled_at: float
    purse: float = field(init=False)

    def __post_init__(self) -> None:
        self.purse = min(self.a_day, 10.0)

    def take(self, now: float) -> int:
        self.purse += (now - self.filled_at) * self.a_day / _DAY_SECONDS
        self.purse = min(self.purse, max(self.a_day / 24, 1.0))
        self.filled_at = now
        return int(self.purse)


def watch(core: Core, *, interval: float, open_hours: bool) -> Steps[Summary]:
    """Report again and again until stopped. What a round could not do, the next one does."""
    began = core.monotonic()
    core.biller.check()
    allowance = _Allowance(core.options.reads_a_day, began)
    listened_at: float | None = None
    heard_until: datetime | None = None
    while not core.halted:
        next_round = core.monotonic() + interval
        try:
            yield from _round(core, open_hours=open_hours, plan_every=interval)
            if not core.halted and (listened_at is None or core.monotonic() - listened_at >= _LISTEN_SECONDS):
                listened_at, asked_at = core.monotonic(), core.time()
                yield from listen(core, heard_until or asked_at - _ERRORS_KEPT)
                heard_until = asked_at - _ERRORS_OVERLAP
            reads = allowance.take(core.monotonic())
            if reads and not core.halted:
                allowance.purse -= (yield from compare(core, reads_max=reads)).reads
            yield from _status(core)
        except BillerRefused:
            raise
        except (psycopg.OperationalError, BillerError, TimeoutError, ReportingStopped) as error:
            core.failure = None
            core.tell(f"{type(error).__name__}: {error}")
        yield Sleep(max(0.0, next_round - core.monotonic()))
    return (yield from _summary(core, began))


def reconcile(
    core: Core, *, step: ReportStep, reads_max: int, since: datetime | None, until: datetime | None
) -> Steps[Comparison]:
    """Compare what was delivered with what the biller has counted."""
    core.biller.check()
    return (yield from compare(core, step=step, reads_max=reads_max, since=since, until=until))


def take_in_event(core: Core, event_id: str) -> Steps[int]:
    """Take in one report of failures, whose id a webhook has brought."""
    core.biller.check()
    report: Failure | None = yield AskFailure(event_id)
    return 0 if report is None else (yield from take_in(core, report))


def _round(core: Core, *, open_hours: bool, plan_every: float | None) -> Steps[None]:
    yield from plan(core, open_hours=open_hours)
    yield from deliver(core, plan_every=plan_every, open_hours=open_hours)
    if not core.halted and (yield from resolve(core)):
        yield from deliver(core)


def _status(core: Core) -> Steps[Sequence[PushStatus]]:
    rows = yield from core.ask(calls.report_status(core.options.biller_name))
    drift = yield from core.ask(calls.reconciliation(core.options.biller_name))
    for observer in core.everyone:
        observer.status(rows, drift)
    return rows


def _summary(core: Core, began: float) -> Steps[Summary]:
    rows = yield from _status(core)
    return Summary(core.tally, rows, core.monotonic() - began)

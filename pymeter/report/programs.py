"""The reporter's programs: one run, and one that never ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from pymeter import calls
from pymeter.errors import InvalidInput, NotInstalled
from pymeter.models import PushStatus, ReportStep
from pymeter.report.asking import Comparison, compare, listen, resolve, take_in
from pymeter.report.biller import BillerRefused, Failure
from pymeter.report.core import PASSING, Core
from pymeter.report.observing import Summary, Waiting
from pymeter.report.pipeline import deliver
from pymeter.report.planning import plan

_PAGE = 10_000
_ERRORS_KEPT = timedelta(days=30)
_ERRORS_OVERLAP = timedelta(hours=1)
_LISTEN_SECONDS = 900.0
_DAY_SECONDS = 86400.0
_READS_MAX = 1000.0  # in one round: the next one goes on
_BACKOFF_SECONDS_MAX = 60.0
_SETTINGS = ("biller", "worker", "lease")


async def once(core: Core, *, open_hours: bool = True) -> Summary:
    """Plan and send all that is due, resolve what is uncertain, and say how things stand."""
    began = core.monotonic()
    core.check_biller()
    core.tell_test_key()
    await _round(core, open_hours=open_hours, plan_every=None)
    if not core.halted and not core.gave_up:
        await listen(core, core.time() - _ERRORS_KEPT)
    rows = await _status(core)
    waiting = await _waiting(core, rows)
    return Summary(
        core.tally,
        rows,
        core.monotonic() - began,
        waiting=waiting,
        gave_up=core.gave_up,
        silent=core.gave_up and core.progress.unreachable,
    )


@dataclass
class ReadBudget:
    """The reads that comparing may use. It refills over time: an account has few of them a day."""

    a_day: float
    filled_at: float
    reads: float = field(init=False)

    def __post_init__(self) -> None:
        self.reads = min(self.a_day, 10.0)

    def take(self, now: float) -> int:
        self.reads += (now - self.filled_at) * self.a_day / _DAY_SECONDS
        self.reads = min(self.reads, max(self.a_day / 24, 1.0), _READS_MAX)
        self.filled_at = now
        return int(self.reads)


async def watch(core: Core, *, interval: float, open_hours: bool) -> Summary:
    """Report again and again until stopped. What a round could not do, the next one does.

    Only what waiting does not cure ends it: the biller does not accept the key, the database has no meter,
    the role may not report, the pool is closed, a setting is invalid.
    """
    began = core.monotonic()
    core.check_biller()
    core.tell_test_key()
    failures = 0
    budget = ReadBudget(core.options.reads_a_day, began)
    listened_at: float | None = None
    heard_until: datetime | None = None
    while not core.halted:
        next_round = core.monotonic() + interval
        try:
            await _round(core, open_hours=open_hours, plan_every=interval)
            due = listened_at is None or core.monotonic() - listened_at >= _LISTEN_SECONDS
            if due and not core.halted and not core.gave_up:
                listened_at, asked_at = core.monotonic(), core.time()
                await listen(core, heard_until or asked_at - _ERRORS_KEPT)
                heard_until = asked_at - _ERRORS_OVERLAP
            reads = budget.take(core.monotonic())
            if reads and not core.halted and not core.gave_up:
                budget.reads -= (await compare(core, reads_max=reads)).reads
            await _status(core)
            failures = 0
        except Exception as error:
            if _is_final(error):
                raise
            core.failure = None
            failures += 1
            pause = min(2.0 ** min(failures, 6) / 2, _BACKOFF_SECONDS_MAX)
            next_round = max(next_round, core.monotonic() + pause)
            seconds = next_round - core.monotonic()
            core.tell(f"{type(error).__name__}: {_first_line(error)}; trying again in {seconds:.0f} s")
        await core.sleep(max(0.0, next_round - core.monotonic()))
    rows: Sequence[PushStatus] = ()
    try:
        rows = await _status(core)
    except PASSING as error:  # it was told to stop, not that all should be well
        core.tell(f"{type(error).__name__}: {_first_line(error)}")
    return Summary(core.tally, rows, core.monotonic() - began)


def _is_final(error: Exception) -> bool:
    """Whether waiting does not cure it."""
    if isinstance(error, InvalidInput):
        return error.parameter in _SETTINGS
    if type(error).__name__ == "PoolClosed":
        return True
    return isinstance(error, BillerRefused | NotInstalled | psycopg.errors.InsufficientPrivilege)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


async def reconcile(
    core: Core, *, step: ReportStep, reads_max: int, since: datetime | None, until: datetime | None
) -> Comparison:
    """Compare what was delivered with what the biller has counted."""
    if reads_max < 1:
        raise ValueError("a reconciliation needs at least one read")
    core.check_biller()
    return await compare(core, step=step, reads_max=reads_max, since=since, until=until)


async def take_in_event(core: Core, event_id: str) -> int:
    """Take in one report of failures, whose id a webhook has brought."""
    core.check_biller()
    report: Failure | None = await core.call(core.biller.failure, event_id)
    return 0 if report is None else await take_in(core, report)


async def _round(core: Core, *, open_hours: bool, plan_every: float | None) -> None:
    await plan(core, open_hours=open_hours)
    await deliver(core, plan_every=plan_every, open_hours=open_hours)
    if not core.halted and not core.gave_up and await resolve(core):
        await deliver(core)


async def _status(core: Core) -> Sequence[PushStatus]:
    rows = await core.ask(calls.report_status(core.options.biller_name))
    drift = await core.ask(calls.reconciliation(core.options.biller_name))
    for observer in core.everyone:
        observer.status(rows, drift)
    return rows


async def _waiting(core: Core, rows: Sequence[PushStatus]) -> Waiting:
    """What was planned and has to be tried again later, or was not tried because there was no progress."""
    planned = sum(row.pushes for row in rows if row.state == "planned")
    if not planned:
        return Waiting()
    now = core.time()
    page = await core.ask(calls.pushes(core.options.biller_name, "planned", max_rows=_PAGE))
    times = [push.next_attempt_at for push in page if push.attempts and push.next_attempt_at > now]
    pushes = planned if core.gave_up or len(times) == _PAGE else len(times)
    return Waiting(pushes, min(times, default=None), max(times, default=None))

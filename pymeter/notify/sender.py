"""The sender: plans, claims, sends, settles, on one event loop.

One task talks to the database: it settles the results that there are, claims as much as there is room for,
and starts a task for each delivery. These make one attempt each. What is in flight to an endpoint is bounded
by ``claim_deliveries``, for all senders together, so that an endpoint that hangs takes no room from others.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread
import psycopg

from pymeter.errors import LockUnavailable, SerializationFailure
from pymeter.models import BudgetRound, ClaimedDelivery
from pymeter.notify.addresses import BadAddress
from pymeter.notify.http import HttpSender
from pymeter.notify.keys import BadSecret
from pymeter.notify.mail import BadServer, MailSender
from pymeter.notify.observing import Observer
from pymeter.notify.options import Result, Summary
from pymeter.secrets import redact

if TYPE_CHECKING:
    from pymeter.notify.notifier import _Base

log = logging.getLogger("pymeter.notify")

_CLAIM_MAX = 100
_PLAN_MAX = 1000
_SETTLE_MAX = 200
_JUDGE_SECONDS = 60.0
_GATHER_SECONDS, _GATHER_SECONDS_MANY = 0.01, 0.05
_MANY = 50
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_ONCE_TRIES = 3
_DATABASE_CALLS = 2

PASSING = (
    SerializationFailure,
    LockUnavailable,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""What the database may answer for a while: it restarts, fails over, is busy or full."""


class Run:
    """One run of a sender."""

    def __init__(self, notifier: _Base, http: HttpSender, mail: MailSender, interval: float | None) -> None:
        self._notifier = notifier
        self._options = notifier.options
        self._http = http
        self._mail = mail
        self._interval = interval
        self._summary = Summary()
        self._results: list[dict[str, Any]] = []
        self._in_flight = 0
        self._news = anyio.Event()
        self._plan_at = 0.0
        self._failures = 0
        self._idle = False
        self._threads = anyio.CapacityLimiter(_DATABASE_CALLS)

    def news_came(self) -> None:
        """There is a result to settle, or the run is to stop."""
        self._news.set()

    async def to_its_end(self) -> Summary:
        """Run until all is sent or, with an interval, until it is stopped."""
        began = time.monotonic()
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            try:
                if self._interval is None:
                    await self._judge()
                else:
                    group.start_soon(self._each_minute)
                await self._loop(group)
                await self._wind_down()
            except Exception as error:  # raised below, where no group wraps it
                failure = error
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._let_go()
        if failure is not None:
            raise failure
        self._summary.seconds = time.monotonic() - began
        return self._summary

    # --- the loop -------------------------------------------------------------------------------------------

    async def _loop(self, group: anyio.abc.TaskGroup) -> None:
        while not self._notifier.stopped:
            try:
                busy = await self._round(group)
                self._failures = 0
            except PASSING as error:
                self._failures += 1
                if self._interval is None and self._failures >= _ONCE_TRIES:
                    raise
                pause = _PAUSES[min(self._failures, len(_PAUSES)) - 1]
                self._tell(f"{type(error).__name__}: trying again in {pause} s")
                await self._pause(pause)
                continue
            if busy:
                continue
            if self._interval is None and self._idle and not self._in_flight and not self._results:
                return
            await self._wait(self._interval or 1.0)

    async def _round(self, group: anyio.abc.TaskGroup) -> bool:
        """Settle, plan and claim once. Whether there is more to do at once."""
        self._news = anyio.Event()
        await self._settle()
        more = await self._plan()
        room = min(self._options.connections - self._in_flight, _CLAIM_MAX)
        claimed: list[ClaimedDelivery] = []
        if room > 0:
            claimed = await self._ask(
                self._meter.claim_deliveries,
                self._notifier.worker,
                room,
                lease=self._options.lease,
                now=self._now,
            )
        for delivery in claimed:
            self._in_flight += 1
            group.start_soon(self._send, delivery)
        self._idle = not more and not claimed
        return more or (len(claimed) == room and room > 0)

    async def _plan(self) -> bool:
        if time.monotonic() < self._plan_at:
            return False
        found: int = await self._ask(self._meter.plan_deliveries, _PLAN_MAX, now=self._now)
        self._summary.planned += found
        for observer in self._observers:
            observer.planned(found)
        if not found:
            self._plan_at = math.inf if self._interval is None else time.monotonic() + self._interval
        return found > 0

    async def _settle(self) -> None:
        while self._results:
            batch = self._results[:_SETTLE_MAX]
            rows = await self._ask(self._meter.settle_deliveries, self._notifier.worker, batch, now=self._now)
            del self._results[: len(batch)]
            if dead := sum(row.state == "dead" for row in rows):
                self._summary.dead += dead
                for observer in self._observers:
                    observer.given_up(dead)

    async def _wait(self, seconds: float) -> None:
        """Wait for a result, and a moment for others: what comes together is settled together."""
        with anyio.move_on_after(seconds):
            await self._news.wait()
        with anyio.move_on_after(_GATHER_SECONDS if self._in_flight < _MANY else _GATHER_SECONDS_MANY):
            while self._in_flight and len(self._results) < _SETTLE_MAX and not self._notifier.stopped:
                self._news = anyio.Event()
                await self._news.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the run is to stop."""
        until = time.monotonic() + seconds
        while not self._notifier.stopped and (left := until - time.monotonic()) > 0:
            self._news = anyio.Event()
            with anyio.move_on_after(left):
                await self._news.wait()

    # --- the end --------------------------------------------------------------------------------------------

    async def _wind_down(self) -> None:
        """Give what is in flight a while to end, and settle it."""
        until = time.monotonic() + self._options.grace
        while self._in_flight and time.monotonic() < until:
            self._news = anyio.Event()
            await self._wait(until - time.monotonic())

    async def _let_go(self) -> None:
        """Settle what is known, and give back what is not."""
        try:
            await self._settle()
            if self._in_flight:
                await self._ask(self._meter.release_deliveries, self._notifier.worker, now=self._now)
        except PASSING as error:  # their lease ends by itself
            self._tell(f"{type(error).__name__}: what was claimed is sent again after its lease")

    # --- one delivery ---------------------------------------------------------------------------------------

    async def _send(self, delivery: ClaimedDelivery) -> None:
        began = time.monotonic()
        result = await self._attempt(delivery)
        self._in_flight -= 1
        self._summary.outcomes[result.outcome] += 1
        self._results.append(result.row(delivery))
        if result.outcome != "delivered":
            self._tell(f"{delivery.endpoint}: {delivery.message_id} {result.outcome}: {result.error}")
        for observer in self._observers:
            observer.sent(delivery, result, time.monotonic() - began)
        self._news.set()

    async def _attempt(self, delivery: ClaimedDelivery) -> Result:
        sender = self._mail if delivery.format == "email" else self._http
        try:
            with anyio.fail_after(self._options.timeout):
                return await sender.send(delivery)
        except TimeoutError:
            return Result("failed", f"no answer within {self._options.timeout:g} s")
        except (BadAddress, BadSecret, BadServer) as error:
            return Result("failed", redact(str(error)))
        except Exception as error:  # a fault of this program must not stop the others' notifications
            # Not log.exception: the texts of errors may hold a URL with its secret.
            log.error("sending failed\n%s", redact("".join(traceback.format_exception(error)).rstrip()))
            return Result("failed", redact(type(error).__name__))

    # --- each minute ----------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        await self._judge_spikes()
        await self._judge_projections()
        await self._judge_budgets()

    async def _judge_spikes(self) -> None:
        found = await self._ask(self._meter.judge_spikes, now=self._now)
        self._summary.spikes += found
        for observer in self._observers:
            observer.spikes(found)

    async def _judge_projections(self) -> None:
        """Some of the subjects; the next run or minute goes on with the others."""
        found = await self._ask(self._meter.judge_projections, now=self._now)
        self._summary.projected_marks += found
        for observer in self._observers:
            observer.projected_marks(found)

    async def _judge_budgets(self) -> None:
        """All that are due. Calls are short, because recording may wait for each; a round has one time."""
        now = self._now
        while not self._notifier.stopped:
            found: BudgetRound = await self._ask(self._meter.judge_budgets, now=now)
            self._summary.budgets += found.approaching + found.exceeded
            for observer in self._observers:
                observer.budgets(found)
            if found.failed:
                self._tell(f"{found.failed} subjects' budgets could not be judged: see budget_status()")
            if not found.remaining or not found.judged:
                return
            now = found.judged_at

    async def _each_minute(self) -> None:
        while True:
            for judge, what in (
                (self._judge_spikes, "spikes"),
                (self._judge_projections, "projected marks"),
                (self._judge_budgets, "budgets"),
            ):
                try:
                    await judge()
                except Exception as error:  # the loop ends the run if it meets it too
                    self._tell(f"{type(error).__name__}: {what} are judged in a minute")
            try:
                if self._observers:
                    endpoints = await self._ask(self._meter.endpoints)
                    for observer in self._observers:
                        observer.status(endpoints)
            except Exception as error:  # the loop ends the run if it meets it too
                self._tell(f"{type(error).__name__}: endpoints are looked at in a minute")
            await anyio.sleep(_JUDGE_SECONDS)

    # --- the database ---------------------------------------------------------------------------------------

    @property
    def _meter(self) -> Any:
        return self._notifier._meter

    @property
    def _observers(self) -> Sequence[Observer]:
        return self._notifier.observers

    @property
    def _now(self) -> datetime | None:
        """The time for the database's functions: None is the database's own."""
        return self._options.clock() if self._options.clock else None

    async def _ask(self, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call the database, and know the result whatever is cancelled."""
        if inspect.iscoroutinefunction(method):
            with anyio.CancelScope(shield=True):
                return await method(*args, **named)
        return await anyio.to_thread.run_sync(partial(method, *args, **named), limiter=self._threads)

    def _tell(self, message: str) -> None:
        message = redact(message)
        log.warning("%s", message)
        for observer in self._observers:
            observer.trouble(message)

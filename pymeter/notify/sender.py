"""The sender: plans, claims, sends, settles, on one event loop.

One task talks to the database: it settles the results that there are, claims as much as there is room for,
and starts a task for each delivery. These make one attempt each. What is in flight to an endpoint is bounded
by ``claim_deliveries``, for all senders together, so that an endpoint that hangs takes no room from others.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import psycopg

from pymeter.client import ConnectionPool, Meter
from pymeter.errors import LockUnavailable, SerializationFailure
from pymeter.models import ClaimedDelivery
from pymeter.notify.addresses import BadAddress
from pymeter.notify.http import HttpSender
from pymeter.notify.keys import BadSecret, Secrets
from pymeter.notify.mail import BadServer, MailSender
from pymeter.notify.options import Options, Result, Summary
from pymeter.program_connection import ProgramPool
from pymeter.report.running import run_blocking
from pymeter.secrets import redact, redact_logs

T = TypeVar("T")

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


class Notifier:
    """Sends notifications to endpoints, each at least once and under one id.

    `pool` lends database connections (two are enough); the other options are those of :class:`Options`. Any
    number of senders may run at the same time.

        with psycopg_pool.ConnectionPool(dsn) as pool:
            Notifier(pool).run_once()
    """

    def __init__(self, pool: ConnectionPool, **options: Any) -> None:
        self.options = Options(**options)
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.observers: list[Callable[[ClaimedDelivery, Result], None]] = []
        """Called for each result, on the event loop."""
        self.stopped = False
        self._meter = Meter(ProgramPool(pool), schema=self.options.schema)
        self._wake: Callable[[], None] = lambda: None
        redact_logs("pymeter.notify", "httpx", *(f"httpcore.{part}" for part in ("connection", "http11")))

    def run_once(self) -> Summary:
        """Look for spikes, plan, and send all that is due. What fails is left for a later run."""
        return run_blocking(partial(self._run, None))

    def watch(self, interval: float = 1.0) -> Summary:
        """Send until `stop` is called; look for new notifications every `interval` seconds."""
        return run_blocking(partial(self._run, interval))

    def stop(self) -> None:
        """Settle what ends soon, release the rest, and end. From any thread, or a signal's handler."""
        self.stopped = True
        self._wake()

    async def _run(self, interval: float | None) -> Summary:
        async with HttpSender(self.options, self._secrets()) as http:
            run = _Run(self, http, MailSender(self.options), interval)
            token = anyio.lowlevel.current_token()
            self._wake = lambda: _from_outside(token, run.news_came)
            try:
                return await run.to_its_end()
            finally:
                self._wake = lambda: None

    def _secrets(self) -> Secrets:
        return Secrets(self.options.secrets_dir)


def _from_outside(token: Any, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        token.native_token.call_soon_threadsafe(function)


class _Run:
    """One run of a sender."""

    def __init__(
        self, notifier: Notifier, http: HttpSender, mail: MailSender, interval: float | None
    ) -> None:
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
                    group.start_soon(self._judge_again)
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
        found = await self._ask(self._meter.plan_deliveries, _PLAN_MAX, now=self._now)
        self._summary.planned += found
        if not found:
            self._plan_at = math.inf if self._interval is None else time.monotonic() + self._interval
        return found > 0

    async def _settle(self) -> None:
        while self._results:
            batch = self._results[:_SETTLE_MAX]
            rows = await self._ask(self._meter.settle_deliveries, self._notifier.worker, batch, now=self._now)
            del self._results[: len(batch)]
            self._summary.dead += sum(row.state == "dead" for row in rows)

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
        result = await self._attempt(delivery)
        self._in_flight -= 1
        self._summary.outcomes[result.outcome] += 1
        self._results.append(result.row(delivery))
        if result.outcome != "delivered":
            self._tell(f"{delivery.endpoint}: {delivery.message_id} {result.outcome}: {result.error}")
        for observer in self._notifier.observers:
            observer(delivery, result)
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

    # --- spikes ---------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        self._summary.spikes += await self._ask(self._meter.judge_spikes, now=self._now)

    async def _judge_again(self) -> None:
        while True:
            try:
                await self._judge()
            except Exception as error:  # the loop ends the run if it meets it too
                self._tell(f"judge_spikes: {type(error).__name__}")
            await anyio.sleep(_JUDGE_SECONDS)

    # --- the database ---------------------------------------------------------------------------------------

    @property
    def _meter(self) -> Meter:
        return self._notifier._meter

    @property
    def _now(self) -> datetime | None:
        """The time for the database's functions: None is the database's own."""
        return self._options.clock() if self._options.clock else None

    async def _ask(self, method: Callable[..., T], *args: Any, **named: Any) -> T:
        return await anyio.to_thread.run_sync(partial(method, *args, **named), limiter=self._threads)

    def _tell(self, message: str) -> None:
        log.warning(redact(message))

"""What all parts of a run share: its settings, its pace, its clocks, and whether it is to stop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import psycopg
import stamina

from pymeter.async_client import AsyncMeter
from pymeter.calls import Call
from pymeter.client import Meter
from pymeter.errors import SerializationFailure
from pymeter.report.adapters import adapter_of
from pymeter.report.biller import AsyncBiller, Biller, BillerRefused
from pymeter.report.clocks import Clocks, Deadline
from pymeter.report.observing import Observer, Tally
from pymeter.report.options import REHEARSAL, Options
from pymeter.report.pace import Pace
from pymeter.report.progress import Progress
from pymeter.secrets import redact

T = TypeVar("T")
Caller = Callable[..., Awaitable[Any]]

log = logging.getLogger("pymeter.report")

_TRIES_MAX = 3
_RETRY_SECONDS = 0.5
_DATABASE_CALLS = 3  # at the same time, besides those of the connections: a plan, a claim and a settlement
_SILENCE_SECONDS = 3.0

PASSING = (
    SerializationFailure,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""What the database may answer for a while: it restarts, fails over, is busy or full."""


@dataclass(eq=False)
class Core:
    """One run, on the event loop that it was created on. Only `stop` may be called from elsewhere."""

    lease_seconds: float = field(init=False)
    """How long after a claim a call may still begin, so that its answer comes before the lease is over."""
    call_seconds: float = field(init=False)
    """How long a call to the biller may take."""

    options: Options
    meter: Meter | AsyncMeter
    biller: Biller | AsyncBiller
    observers: Sequence[Observer] = ()
    monotonic: Callable[[], float] = time.monotonic
    clocks: Clocks = field(default_factory=Clocks)
    tally: Tally = field(default_factory=Tally)
    worker: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    )
    stopped: bool = False
    """Asked to stop: what is in flight is settled, and nothing more is begun."""
    failure: BaseException | None = None
    """Why nothing more is to be sent."""
    gave_up: bool = False
    """Whether the last round ended because there was no progress."""

    def __post_init__(self) -> None:
        rate = self.biller.rate if self.options.rate is None else self.options.rate
        self.pace = Pace(rate, clock=self.monotonic)
        self.progress = Progress(self.monotonic)
        if self.options.clock:
            self.clocks = replace(self.clocks, wall=lambda: self.time().timestamp())
        # A timeout counts the silence between two pieces of an answer, so that a call may take longer.
        self.call_seconds = 1.2 * self.biller.timeout
        self.lease_seconds = self.options.lease.total_seconds() - self.call_seconds
        if self.lease_seconds <= 0:
            raise ValueError("the lease must be longer than a call to the biller may take")
        self._loop = asyncio.get_running_loop()
        self._threads = anyio.CapacityLimiter(self.options.connections + _DATABASE_CALLS)
        self._sleeping: set[anyio.Event] = set()

    # --- what may be sent -----------------------------------------------------------------------------------

    def check_biller(self) -> None:
        """Raise BillerRefused when the biller cannot be used, or not under this name. No I/O.

        Before every call: the key may have been replaced since the last one. A biller that does not say that
        it is a test is taken for one that bills.
        """
        self.biller.check()
        name = self.options.biller_name
        if self.options.rehearsal and getattr(self.biller, "test_mode", None) is not True:
            raise BillerRefused(
                f"{name} takes test keys only, or a biller in test_mode",
                f"A name that ends in {REHEARSAL} is a rehearsal, whose usage must not be billed. "
                "Stripe's test keys begin with sk_test_ or rk_test_; any other biller needs test_mode.",
            )
        # What one biller has counted, another would count once more.
        adapter, owner = getattr(self.biller, "adapter", None), adapter_of(name)
        if adapter is not None and owner not in (None, adapter):
            raise BillerRefused(
                f"the biller {name} is reported to {owner}, not to {adapter}",
                f"Use another name: one that begins with {adapter}, for example.",
            )

    def tell_test_key(self) -> None:
        """Tell when usage that counts as reported is billed to nobody."""
        if getattr(self.biller, "test_mode", None) is True and not self.options.rehearsal:
            self.tell("test mode: what is sent now counts as reported, but bills nobody")

    # --- stopping -------------------------------------------------------------------------------------------

    @property
    def halted(self) -> bool:
        """Whether the run begins nothing more, for whatever reason."""
        return self.stopped or self.failure is not None

    @property
    def ending(self) -> bool:
        """Whether this round begins nothing more."""
        return self.halted or self.out_of_patience

    def stop(self) -> None:
        """Finish what is in flight, and end. May be called from any thread and from a signal's handler."""
        self.stopped = True
        with suppress(RuntimeError):  # the loop is closed: the run has ended
            self._loop.call_soon_threadsafe(self._wake)

    def fail(self, error: BaseException) -> None:
        """Begin nothing more; the first error is the one that counts."""
        if self.failure is None:
            self.failure = error
        self._wake()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """An error in the block ends the run, after what is in flight; it is not raised here."""
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            self.fail(error)

    def refuse(self, message: str | None) -> None:
        """The biller does not accept the key."""
        self.fail(
            BillerRefused(f"the biller refuses the key: {message}", "Check the key and its permissions.")
        )

    def _wake(self) -> None:
        for event in self._sleeping:
            event.set()

    # --- time -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime | None:
        """The time for the database's functions: None is the database's own."""
        return self.options.clock() if self.options.clock else None

    def time(self) -> datetime:
        """The time."""
        return self.now or datetime.now(UTC)

    async def sleep(self, seconds: float, event: anyio.Event | None = None) -> None:
        """Wait until the time has passed, the run is to end, or the event is set."""
        if self.halted:
            return
        event = event or anyio.Event()
        self._sleeping.add(event)
        try:
            with anyio.move_on_after(seconds):
                await event.wait()
        finally:
            self._sleeping.discard(event)

    # --- waiting for the biller -----------------------------------------------------------------------------

    @property
    def out_of_patience(self) -> bool:
        """Whether so much time has passed without progress that the round is to end."""
        patience = self.options.patience.total_seconds()
        # Without any patience every connection has one call.
        stalled = self.progress.stalled(1 if patience else self.options.connections)
        return stalled is not None and stalled >= patience

    def tell_silence(self) -> None:
        """Tell that the biller does not answer, once an outage."""
        silent = self.progress.silent()
        if silent < _SILENCE_SECONDS or self.progress.told:
            return
        self.progress.told = True
        patience = f"{self.options.patience.total_seconds():.0f} s"
        what = self.progress.error or f"nothing for {silent:.0f} s"
        self.tell(f"the biller does not answer: {what}; a round gives up after {patience} without progress")

    # --- calling --------------------------------------------------------------------------------------------

    async def call(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the database or the biller: a coroutine here, any other in a thread."""
        if inspect.iscoroutinefunction(method):
            return await method(*args)
        answer = await anyio.to_thread.run_sync(partial(method, *args), limiter=self._threads)
        return await answer if inspect.isawaitable(answer) else answer

    async def call_in_turn(self, calls: Callable[[Caller], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine that makes its calls by the caller that it is given, and awaits nothing else.

        If all methods block, it runs in one thread from its beginning to its end: to hand over to a thread
        and back for each call would cost a tenth of the reporter's speed.
        """
        if inspect.iscoroutinefunction(self.meter._run) or inspect.iscoroutinefunction(self.biller.send):
            return await calls(self.call)
        return await anyio.to_thread.run_sync(_run_here, calls(_call_here), limiter=self._threads)

    async def ask(self, call: Call[T]) -> T:
        """Call the database. Collisions with others and a lost connection are tried again a few times.

        Every call of the reporter may be repeated: what was planned, claimed or settled is so once.
        """
        return await self.retry(call.function, partial(self.call, self.meter._run, call))

    async def retry(self, name: str, function: Callable[[], Awaitable[T]]) -> T:
        """Await the function. What the database answers for a while only is tried again."""
        try:
            return await function()  # without stamina, which costs as much as the call
        except PASSING as error:
            self._tell_retry(name, error)
        await self.sleep(_RETRY_SECONDS)
        async for attempt in stamina.retry_context(
            on=PASSING,
            attempts=_TRIES_MAX - 1,
            timeout=None,
            wait_initial=2 * _RETRY_SECONDS,
            wait_jitter=_RETRY_SECONDS / 2,
        ):
            with attempt:
                try:
                    return await function()
                except PASSING as error:
                    if attempt.num < _TRIES_MAX - 1:
                        self._tell_retry(name, error)
                    raise
        raise AssertionError("the last try returns or raises")

    def _tell_retry(self, name: str, error: Exception) -> None:
        self.tell(f"{name}: {type(error).__name__}; trying again")

    async def wait_for_slot(self, deadline: Deadline | None = None) -> bool:
        """Wait until the rate limit allows a call. False: no call is to be made any more."""
        while not self.ending and not (deadline and deadline.has_passed()):
            seconds = self.pace.take()
            if not seconds:
                return True
            seconds = min(seconds, 1.0)
            for observer in self.everyone:
                observer.waited(seconds)
            await self.sleep(seconds)
        return False

    # --- telling --------------------------------------------------------------------------------------------

    @property
    def everyone(self) -> tuple[Observer, ...]:
        """Every observer, the tally first."""
        return (self.tally, *self.observers)

    def tell(self, message: str) -> None:
        """Something went wrong that does not end the run."""
        message = redact(message)
        log.warning(message)
        for observer in self.everyone:
            observer.trouble(message)


async def _call_here(method: Callable[..., Any], *args: Any) -> Any:
    return method(*args)


def _run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for: without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        answer: T = end.value
        return answer
    raise AssertionError("the coroutine waits")

"""What all parts of a run share: its settings, its pace, its clocks, and whether it is to stop."""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg

from pymeter.calls import Call
from pymeter.errors import SerializationFailure
from pymeter.report.biller import AsyncBiller, Biller, BillerRefused
from pymeter.report.clocks import Clocks, Deadline
from pymeter.report.observing import Observer, Tally
from pymeter.report.pace import Pace
from pymeter.report.steps import Ask, Sleep, Steps
from pymeter.secrets import redact

T = TypeVar("T")
Clock = Callable[[], datetime]

log = logging.getLogger("pymeter.report")

_TRIES_MAX = 3
_RETRY_SECONDS = 0.5
_SILENCE_SECONDS = 3.0

REHEARSAL = "_shadow"
"""A biller whose name ends so is a rehearsal: its usage must not be billed."""

PASSING = (
    SerializationFailure,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""What the database may answer for a while: it restarts, fails over, is busy or full."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a reporter works; :class:`pymeter.report.Reporter` explains them."""

    biller_name: str = "stripe"
    schema: str = "meter"
    connections: int = 16
    rate: float | None = None
    lease: timedelta = timedelta(minutes=2)
    patience: timedelta = timedelta(seconds=60)
    """How long a round goes on without progress, and waits for the next attempt of a push."""
    reads_a_day: float = 150.0
    """How often `watch` may ask for totals only to compare them."""
    clock: Clock | None = None

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ValueError("a reporter needs at least one connection")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError("the rate must be above 0 calls a second")
        if not 0 <= self.reads_a_day < math.inf:
            raise ValueError("reads_a_day must not be below 0")
        if self.patience < timedelta():
            raise ValueError("the patience must not be below 0")

    @property
    def rehearsal(self) -> bool:
        """Whether what is sent must not be billed."""
        return self.biller_name.endswith(REHEARSAL)


class Progress:
    """Since when calls to the biller come to nothing: a delivery, a rejection or a total is progress."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in_flight: dict[object, float] = {}
        self._stalled_at: float | None = None
        self._misses = 0
        self._unreachable = True
        self._error: str | None = None
        self.told = False
        """Whether this outage was told."""

    def begin(self) -> object:
        """A call begins; the token is for `end`."""
        token = object()
        with self._lock:
            self._in_flight[token] = self._clock()
        return token

    def end(
        self, token: object, *, progress: bool, unreachable: bool = False, error: str | None = None
    ) -> None:
        """A call has ended."""
        with self._lock:
            began = self._in_flight.pop(token)
            if progress:
                self._stalled_at, self._misses, self._unreachable = None, 0, True
                self._error, self.told = None, False
                return
            self._misses += 1
            self._unreachable &= unreachable
            self._error = error
            self._stalled_at = began if self._stalled_at is None else self._stalled_at

    def begin_round(self) -> None:
        """A new round has all its patience again."""
        with self._lock:
            self._misses = 0
            if self._stalled_at is not None:
                self._stalled_at = self._clock()

    @property
    def unreachable(self) -> bool:
        """Whether nobody has answered since the last progress, or only an outage did."""
        return bool(self._misses) and self._unreachable

    @property
    def error(self) -> str | None:
        """What the last call came to, if it was no progress."""
        return self._error

    def stalled(self, calls: int = 1) -> float | None:
        """The seconds without progress, if that many calls have come to nothing since; else None."""
        with self._lock:
            if self._stalled_at is None or self._misses < calls:
                return None
            return self._clock() - self._stalled_at

    def silent(self) -> float:
        """How long the oldest call has been without an answer, or all of them, if nobody answers."""
        with self._lock:
            since = [*self._in_flight.values()]
            if self._stalled_at is not None and self._unreachable:
                since.append(self._stalled_at)
            return self._clock() - min(since) if since else 0.0


@dataclass
class Core:
    """One run."""

    lease_seconds: float = field(init=False)
    """How long after a claim a call may still begin, so that its answer comes before the lease is over."""
    call_seconds: float = field(init=False)
    """How long a call to the biller may take."""

    options: Options
    biller: Biller | AsyncBiller
    observers: Sequence[Observer] = ()
    monotonic: Callable[[], float] = time.monotonic
    clocks: Clocks = field(default_factory=Clocks)
    tally: Tally = field(default_factory=Tally)
    worker: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    )
    on_halt: list[Callable[[], None]] = field(default_factory=list)
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

    # --- what may be sent -----------------------------------------------------------------------------------

    def check_biller(self) -> None:
        """Raise BillerRefused when the biller cannot be used, or not under this name. No I/O.

        Before every call: the key may have been replaced since the last one. A biller that does not say that
        it is a test is taken for one that bills.
        """
        self.biller.check()
        if self.options.rehearsal and getattr(self.biller, "test_mode", None) is not True:
            raise BillerRefused(
                f"{self.options.biller_name} takes test keys only",
                f"A name that ends in {REHEARSAL} is a rehearsal, whose usage must not be billed. "
                "Stripe's test keys begin with sk_test_ or rk_test_; a biller of your own needs test_mode.",
            )

    def tell_test_key(self) -> None:
        """Tell when usage that counts as reported is billed to nobody."""
        if getattr(self.biller, "test_mode", None) is True and not self.options.rehearsal:
            self.tell("test key: what is sent now counts as reported, but bills nobody")

    # --- stopping -------------------------------------------------------------------------------------------

    @property
    def halted(self) -> bool:
        """Whether to begin nothing more, for whatever reason."""
        return self.stopped or self.failure is not None

    def stop(self) -> None:
        """Finish what is in flight, and end."""
        self.stopped = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Begin nothing more; the first error is the one that counts."""
        if self.failure is None:
            self.failure = error
        self._wake()

    def refuse(self, message: str | None) -> None:
        """The biller does not accept the key."""
        self.fail(
            BillerRefused(f"the biller refuses the key: {message}", "Check the key and its permissions.")
        )

    def _wake(self) -> None:
        for wake in self.on_halt:
            wake()

    # --- time -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime | None:
        """The time for the database's functions: None is the database's own."""
        return self.options.clock() if self.options.clock else None

    def time(self) -> datetime:
        """The time."""
        return self.now or datetime.now(UTC)

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

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(self, call: Call[T]) -> Steps[T]:
        """Call the database. Collisions with others and a lost connection are tried again a few times.

        Every call of the reporter may be repeated: what was planned, claimed or settled is so once.
        """
        for tries in range(1, _TRIES_MAX + 1):
            try:
                answer: T = yield Ask(call)
                return answer
            except PASSING as error:
                if tries == _TRIES_MAX:
                    raise
                self.tell(f"{call.function}: {type(error).__name__}; trying again")
            yield Sleep(_RETRY_SECONDS * tries)
        raise AssertionError("the last try returns or raises")

    def wait_for_slot(self, deadline: Deadline | None = None) -> Steps[bool]:
        """Wait until the rate limit allows a call. False: no call is to be made any more."""
        while not self.halted and not self.out_of_patience and not (deadline and deadline.has_passed()):
            seconds = self.pace.take()
            if not seconds:
                return True
            seconds = min(seconds, 1.0)
            for observer in self.everyone:
                observer.waited(seconds)
            yield Sleep(seconds)
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

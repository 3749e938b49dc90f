"""What all parts of a run share: its settings, its pace, its clocks, and whether it is to stop."""

from __future__ import annotations

import logging
import os
import secrets
import socket
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
from pymeter.report.secret import redact
from pymeter.report.steps import Ask, Sleep, Steps

T = TypeVar("T")
Clock = Callable[[], datetime]

log = logging.getLogger("pymeter.report")

_TRIES_MAX = 3
_RETRY_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a reporter works; :class:`pymeter.report.Reporter` explains them."""

    biller_name: str = "stripe"
    schema: str = "meter"
    connections: int = 16
    rate: float | None = None
    lease: timedelta = timedelta(minutes=2)
    patience: timedelta = timedelta(seconds=30)
    """How long `run_once` waits for the next attempt of what has to be sent again."""
    reads_a_day: float = 150.0
    """How often `watch` may ask for totals only to compare them."""
    clock: Clock | None = None

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ValueError("a reporter needs at least one connection")


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

    def __post_init__(self) -> None:
        self.pace = Pace(self.options.rate or self.biller.rate, clock=self.monotonic)
        if self.options.clock:
            self.clocks = replace(self.clocks, wall=lambda: self.time().timestamp())
        # A timeout counts the silence between two pieces of an answer, so that a call may take longer.
        self.call_seconds = 1.2 * self.biller.timeout
        self.lease_seconds = self.options.lease.total_seconds() - self.call_seconds
        if self.lease_seconds <= 0:
            raise ValueError("the lease must be longer than a call to the biller may take")

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

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(self, call: Call[T]) -> Steps[T]:
        """Call the database. Collisions with others and a lost connection are tried again a few times.

        Every call of the reporter may be repeated: what was planned, claimed or settled is so once.
        """
        for tries in range(1, _TRIES_MAX + 1):
            try:
                answer: T = yield Ask(call)
                return answer
            except (SerializationFailure, psycopg.OperationalError) as error:
                if tries == _TRIES_MAX:
                    raise
                self.tell(f"{call.function}: {type(error).__name__}; trying again")
            yield Sleep(_RETRY_SECONDS * tries)
        raise AssertionError("the last try returns or raises")

    def wait_for_slot(self, deadline: Deadline | None = None) -> Steps[bool]:
        """Wait until the rate limit allows a call. False: no call is to be made any more."""
        while not self.halted and not (deadline and deadline.has_passed()):
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
        """All who are told what happens."""
        return (self.tally, *self.observers)

    def tell(self, message: str) -> None:
        """Something went wrong that does not end the run."""
        message = redact(message)
        log.warning(message)
        for observer in self.everyone:
            observer.trouble(message)

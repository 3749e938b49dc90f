"""Events of a running reporter, and the summary that it returns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pymeter.models import PushStatus, Reconciliation
from pymeter.report.biller import Outcome

_TROUBLE = ("rejected", "uncertain")


class Observer:
    """Receives events; no-op by default.

    Its methods are called on the reporter's event loop, one after another: they must not block. Reporters of
    several threads may share an observer.
    """

    def planned(self, rows: int) -> None:
        """Rows of the queue were planned."""

    def sent(self, outcome: Outcome, seconds: float) -> None:
        """A call to the biller has ended."""

    def waited(self, seconds: float) -> None:
        """A connection has waited for the rate limit."""

    def resolved(self, present: int, absent: int) -> None:
        """Uncertain pushes were resolved: present in the biller's totals, or absent and reissued."""

    def failed_later(self, pushes: int) -> None:
        """The biller has reported pushes that it accepted and could not count."""

    def compared(self, ranges: int, different: int) -> None:
        """Totals were compared with the biller's; `different` of them differ."""

    def trouble(self, message: str) -> None:
        """An error occurred that does not stop the reporter."""

    def status(self, rows: Sequence[PushStatus], drift: Sequence[Reconciliation]) -> None:
        """A round has ended: the number of pushes in each state, and the totals that differ."""


@dataclass
class Tally(Observer):
    """Counts events."""

    rows_planned: int = 0
    calls: int = 0
    delivered: int = 0
    duplicates: int = 0
    """Delivered pushes that an earlier attempt had already delivered."""
    rejected: int = 0
    unknown: int = 0
    not_applied: int = 0
    throttled: int = 0
    unreachable: int = 0
    found: int = 0
    replaced: int = 0
    failed: int = 0
    ranges_compared: int = 0
    ranges_different: int = 0
    troubles: int = 0
    seconds_waited: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def planned(self, rows: int) -> None:
        with self._lock:
            self.rows_planned += rows

    def sent(self, outcome: Outcome, seconds: float) -> None:
        with self._lock:
            self.calls += 1
            setattr(self, outcome.result, getattr(self, outcome.result) + 1)
            self.duplicates += outcome.duplicate
            self.throttled += outcome.throttled
            self.unreachable += outcome.unreachable

    def waited(self, seconds: float) -> None:
        with self._lock:
            self.seconds_waited += seconds

    def resolved(self, present: int, absent: int) -> None:
        with self._lock:
            self.found += present
            self.replaced += absent

    def failed_later(self, pushes: int) -> None:
        with self._lock:
            self.failed += pushes

    def compared(self, ranges: int, different: int) -> None:
        with self._lock:
            self.ranges_compared += ranges
            self.ranges_different += different

    def trouble(self, message: str) -> None:
        with self._lock:
            self.troubles += 1


@dataclass(frozen=True)
class Waiting:
    """Planned pushes that wait for another attempt."""

    pushes: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    """When the first and the last of them may be tried again."""


@dataclass(frozen=True)
class Summary:
    """What a run did, and the state of all pushes at its end."""

    tally: Tally
    status: Sequence[PushStatus]
    seconds: float
    waiting: Waiting = Waiting()
    gave_up: bool = False
    """Whether the run ended because nothing was delivered within its patience."""
    silent: bool = False
    """Whether it gave up because the biller did not answer."""

    def pushes(self, state: str) -> int:
        """How many pushes are in a state."""
        return sum(row.pushes for row in self.status if row.state == state)

    @property
    def unreachable(self) -> bool:
        """Whether the biller answered no call, or stopped answering."""
        return self.silent or 0 < self.tally.calls == self.tally.unreachable

    @property
    def exit_status(self) -> int:
        """0: everything is sent. 1: pushes are rejected, uncertain or waiting. 2: biller unreachable."""
        if self.unreachable:
            return 2
        left = self.gave_up or self.waiting.pushes or any(self.pushes(state) for state in _TROUBLE)
        return 1 if left else 0

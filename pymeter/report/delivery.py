"""What the tasks of one delivery share: lanes, results, and the counts that tell when it is over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio

from pymeter.models import ClaimedPush, SettledPush
from pymeter.report.biller import Outcome
from pymeter.report.clocks import Deadline
from pymeter.report.core import Core

_OVERDUE_SECONDS = 5
_ERROR_LENGTH_MAX = 2000


@dataclass(frozen=True)
class Lane:
    """Claimed pushes of one customer and event name, in the order of sending."""

    pushes: Sequence[ClaimedPush]
    deadline: Deadline
    """After it, the lease may expire before an answer arrives."""


Result: TypeAlias = dict[str, Any]
"""What `settle_pushes` takes for each attempt."""


def result_of(push: ClaimedPush, outcome: Outcome) -> Result:
    """The outcome of an attempt, in the form of the journal."""
    return {
        "push_id": push.push_id,
        "attempt": push.attempt,
        "identifier": push.identifier,
        "outcome": outcome.result,
        "error": _storable(outcome.error),
        "retry_after": _seconds(outcome.retry_after),
    }


def _storable(text: str | None) -> str | None:
    """The text without characters that the journal cannot store: an answer may contain any bytes."""
    if text is None:
        return None
    return "".join(c if c.isprintable() else " " for c in str(text))[:_ERROR_LENGTH_MAX]


def _seconds(value: float | None) -> float | None:
    """The duration, or None if the journal cannot store it."""
    return value if value is not None and 0 <= value < math.inf else None


@dataclass
class Delivery:
    """Everything that is due is sent. All tasks run on one event loop, so that nothing here needs a lock."""

    core: Core
    unsettled: int = 0
    """Claimed pushes whose results are not in the journal yet."""
    batches: int = 0
    """How many batches of results are in the journal."""
    _retries: dict[int, float] = field(default_factory=dict)  # when what is to be sent again is due, by push
    _news: anyio.Event = field(default_factory=anyio.Event)

    def claimed(self, pushes: Iterable[ClaimedPush]) -> None:
        """Count pushes that were claimed."""
        for push in pushes:
            self.unsettled += 1
            self._retries.pop(push.push_id, None)

    def settled(self, rows: Iterable[SettledPush], results: int) -> None:
        """Count results that are in the journal, and note what has to be sent again."""
        self.unsettled -= results
        self.batches += 1
        now, time = self.core.monotonic(), self.core.time()
        for row in rows:
            if row.state == "planned" and row.next_attempt_at is not None:
                self._retries[row.push_id] = now + (row.next_attempt_at - time).total_seconds()
        self.tell_news()

    def seconds_to_retry(self) -> float | None:
        """When the first of the pushes that have to be sent again is due; None: there is none."""
        now = self.core.monotonic()
        # The clocks may differ a little. What is long overdue, others have taken.
        self._retries = {push: at for push, at in self._retries.items() if now - at < _OVERDUE_SECONDS}
        return min(self._retries.values()) - now if self._retries else None

    def tell_news(self) -> None:
        """There may be more to claim."""
        self._news.set()

    async def wait_for_news(self, seconds: float) -> None:
        """Wait until there may be more to claim, or the time has passed."""
        self._news = anyio.Event()
        await self.core.sleep(seconds, self._news)

"""How much a world may ask: calls a second, calls at once for a customer and meter, reads in all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable

from . import errors


class CallRate:
    """Calls within the last second of real time (the movable clock would make a limit meaningless)."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque()
        self.peak = 0

    def admit(self, limit: int | None, reason: str | None) -> None:
        """Count this call, or raise the 429; what is refused does not count against the limit."""
        now = time.monotonic()
        while self._arrivals and self._arrivals[0] <= now - 1:
            self._arrivals.popleft()
        if limit is not None and len(self._arrivals) >= limit:
            raise errors.rate_limited(reason)
        self._arrivals.append(now)
        self.peak = max(self.peak, len(self._arrivals))


class InFlight:
    """One call at a time for each (customer, meter)."""

    def __init__(self) -> None:
        self._busy: set[Hashable] = set()
        self.conflicts = 0

    def enter(self, lane: Hashable) -> None:
        if lane in self._busy:
            self.conflicts += 1
            raise errors.conflict()
        self._busy.add(lane)

    def leave(self, lane: Hashable) -> None:
        self._busy.discard(lane)


class ReadBudget:
    """Summaries are rationed for the whole account."""

    def __init__(self) -> None:
        self.used = 0

    def spend(self, budget: int | None) -> None:
        if budget is not None and self.used >= budget:
            raise errors.rate_limited("resource-specific")
        self.used += 1

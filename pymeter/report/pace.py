"""The rate limit of a process: a token bucket shared by all connections, slowed down by a 429."""

from __future__ import annotations

import time
from collections.abc import Callable

_BURST_SECONDS = 0.1
_SLOWEST = 0.01  # of the full rate
_PAUSE_SECONDS_MAX = 60.0
_ROUNDING = 1e-6  # of floats: without it a wait could be too short to pass


class Pace:
    """A token bucket. ``take`` returns 0 if a call may be sent, else the seconds to wait.

    `rate` is in calls a second. After ``slow_down`` it recovers with every successful call. Does no I/O.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not rate > 0:
            raise ValueError("the rate must be above 0 calls a second")
        self.full_rate = rate
        self.rate = rate
        self._clock = clock
        self._tokens = self._burst()
        self._counted_at = clock()
        self._paused_until = self._counted_at
        self._pauses = 0
        self._misses = 0

    def take(self) -> float:
        """Return 0.0 to send now, else the seconds to wait before calling again."""
        now = self._clock()
        if now < self._paused_until:
            return self._paused_until - now
        self._tokens = min(self._burst(), self._tokens + max(0.0, now - self._counted_at) * self.rate)
        self._counted_at = now
        if self._tokens >= 1 - _ROUNDING:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate

    def slow_down(self, seconds: float | None = None) -> None:
        """Pause all calls for `seconds`, then continue at half the rate: a 429 or an outage.

        Without `seconds` the pause is 1, 2, 4 ... seconds, until a call succeeds.
        """
        now = self._clock()
        if seconds is None:
            seconds = 2.0 ** min(self._pauses, 6)
        fresh = now >= self._paused_until
        self._paused_until = max(self._paused_until, now + min(seconds, _PAUSE_SECONDS_MAX))
        self._tokens, self._counted_at = min(self._tokens, 1.0), max(self._counted_at, now)
        if fresh:  # calls that were in flight together count once
            self._pauses += 1
            self.rate = max(self.rate / 2, self.full_rate * _SLOWEST)

    def went_wrong(self, patience: int) -> None:
        """Report an unanswered call. After `patience` of them in a row, slow down as for an outage."""
        self._misses += 1
        outage = self._misses >= patience
        if outage:
            self.slow_down()

    def went_well(self) -> None:
        """Report an answered call: the rate recovers by a hundredth of the full rate."""
        self._pauses = self._misses = 0
        self.rate = min(self.full_rate, self.rate + self.full_rate / 100)

    def _burst(self) -> float:
        return max(1.0, self.rate * _BURST_SECONDS)

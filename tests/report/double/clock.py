"""A clock that a test can move: real time plus an offset, or standing still."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the Unix epoch, as the double sees them."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen_at: float | None = None

    def now(self) -> float:
        return time.time() + self._offset if self._frozen_at is None else self._frozen_at

    def advance(self, seconds: float) -> None:
        """Jump forward, or back when ``seconds`` is negative."""
        self.set(self.now() + seconds)

    def set(self, at: float) -> None:
        """Make it ``at`` now; the clock goes on (or keeps standing still) from there."""
        if self._frozen_at is not None:
            self._frozen_at = at
        self._offset = at - time.time()

    def freeze(self) -> None:
        """Stand still, so that a test can stand exactly on a limit."""
        self._frozen_at = self.now()

    def resume(self) -> None:
        """Go on from where the clock stands."""
        stood_at, self._frozen_at = self.now(), None
        self.set(stood_at)


def iso(seconds: float) -> str:
    """``2026-06-18T14:30:00.000Z``, the form of v2."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

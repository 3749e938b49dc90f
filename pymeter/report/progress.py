"""Whether the calls to the biller make progress, and for how long they have not."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Progress:
    """Since when calls to the biller come to nothing: a delivery, a rejection or a total is progress.

    Calls may begin in any thread.
    """

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

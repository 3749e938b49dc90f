"""Deadlines that are measured by all clocks of this machine.

No single clock is enough: the monotonic clock stands still while the machine is suspended, the boot clock
does too while a virtual machine is paused, and the wall clock may be set. A deadline has passed as soon as
one clock has reached it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Seconds = Callable[[], float]


def boottime() -> float:
    """Seconds since the machine started, suspensions included; where there is no such clock, without them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True)
class Clocks:
    """The clocks that a deadline is judged by."""

    monotonic: Seconds = time.monotonic
    boottime: Seconds = boottime
    wall: Seconds = time.time

    def deadline(self, seconds: float) -> Deadline:
        """A deadline that many seconds from now."""
        return Deadline(tuple((clock, clock() + seconds) for clock in self._all()))

    def _all(self) -> tuple[Seconds, ...]:
        return (self.monotonic, self.boottime, self.wall)


@dataclass(frozen=True)
class Deadline:
    """A point in time, by several clocks."""

    limits: tuple[tuple[Seconds, float], ...]

    def has_passed(self) -> bool:
        """Whether any of the clocks has reached it."""
        return any(clock() >= limit for clock, limit in self.limits)

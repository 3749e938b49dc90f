"""How a reporter works."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

Clock = Callable[[], datetime]

REHEARSAL = "_shadow"
"""A biller whose name ends so is a rehearsal: its usage must not be billed."""


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

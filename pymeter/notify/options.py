"""How a sender works, and what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pymeter.models import ClaimedDelivery

Outcome = Literal["delivered", "failed", "gone", "unsent"]


@dataclass(frozen=True)
class Result:
    """The result of one attempt, as `settle_deliveries` takes it."""

    outcome: Outcome
    error: str | None = None
    status: int | None = None
    """The status of the HTTP answer."""
    retry_after: float | None = None
    """Seconds after which the endpoint wants to be tried again."""

    def row(self, delivery: ClaimedDelivery) -> dict[str, Any]:
        """The result, in the form of the database."""
        return {
            "delivery_id": delivery.delivery_id,
            "attempt": delivery.attempt,
            "message_id": delivery.message_id,
            "outcome": self.outcome,
            "status": self.status,
            "error": self.error,
            "retry_after": self.retry_after,
        }


@dataclass(frozen=True)
class Options:
    """The options of a sender."""

    schema: str = "meter"
    connections: int = 200
    """How many attempts are made at the same time, to all endpoints together."""
    timeout: float = 20.0
    """Seconds that an attempt may take, from the look-up of the host to the end of the answer."""
    lease: timedelta = timedelta(minutes=2)
    """How long what was claimed is this process's alone."""
    grace: float = 10.0
    """After a stop, seconds that attempts in flight have to end."""
    allow_private: bool = False
    """Whether to send to private addresses and by plain http, for tests and within a network."""
    secrets_dir: Path | None = None
    """A directory with a file for each secret; environment variables come first."""
    smtp_url: str | None = field(default=None, repr=False)
    """The mail server: smtp://user:password@host:port?from=address, or smtps://."""
    ca_file: Path | None = None
    """Certificate authorities to trust instead of the usual ones."""
    clock: Callable[[], datetime] | None = None
    """Replaces the clock of the database, for tests."""

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ValueError("connections must be at least 1")
        if not 0 < self.timeout < self.lease.total_seconds():
            raise ValueError("the lease must be longer than the timeout")


@dataclass
class Summary:
    """What a run did."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """How many attempts ended in each outcome."""
    dead: int = 0
    """How many deliveries were given up."""
    planned: int = 0
    """How many notifications were looked at or written."""
    spikes: int = 0
    """How many spikes were found."""
    budgets: int = 0
    """How many marks of budgets were reached."""
    projected_marks: int = 0
    """How many marks of limits the expected usage has reached."""
    seconds: float = 0.0

    @property
    def delivered(self) -> int:
        """How many deliveries arrived."""
        return self.outcomes["delivered"]

    @property
    def failed(self) -> int:
        """How many attempts failed."""
        return self.outcomes["failed"] + self.outcomes["gone"]

    @property
    def exit_status(self) -> int:
        """0: every attempt succeeded; 1: some did not."""
        return 1 if self.failed or self.dead else 0

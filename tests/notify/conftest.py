"""A meter that has something to tell, on a clock of its own, and what must hold of its deliveries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, ledger, new_ledger

__all__ = ["Outbox", "ledger", "new_ledger", "new_outbox", "outbox"]

STEP = "threshold.exceeded"


class Outbox:
    """One connection's view of what is sent. ``now`` is the clock that every call is given."""

    def __init__(self, ledger: Ledger, worker: str = "worker_1") -> None:
        self.ledger = ledger
        self.worker = worker
        self.now = datetime.now(UTC) + timedelta(hours=1)

    def prepare(self) -> None:
        """Every event of the metric m notifies."""
        self.ledger.define("m", "count")
        self.ledger.call("set_limit", metric="m", quota=1, action="alert", marks=[100], every=1)

    def endpoint(self, name: str = "ops", types: Iterable[str] | None = (STEP,), **named: Any) -> Any:
        named.setdefault("url", f"https://{name}.example.com/hook")
        return self.ledger.call(
            "define_endpoint", name=name, types=None if types is None else list(types), **named
        )[0]

    def tell(self, *subjects: str) -> None:
        """Write a notification for each of these subjects."""
        for subject in subjects:
            assert self.ledger.record(subject, "m").outcome == "recorded"

    def plan(self, **named: Any) -> int:
        return int(self.ledger.call("plan_deliveries", now=self.now, **named)[0][0])

    def claim(self, max_deliveries: int = 100, **named: Any) -> list[Any]:
        named.setdefault("worker", self.worker)
        return self.ledger.call("claim_deliveries", max_deliveries=max_deliveries, now=self.now, **named)

    def settle(self, outcome: str, *claimed: Any, worker: str | None = None, **more: Any) -> dict[int, Any]:
        results = [
            {
                "delivery_id": one.delivery_id,
                "attempt": one.attempt,
                "message_id": one.message_id,
                "outcome": outcome,
                **more,
            }
            for one in claimed
        ]
        rows = self.ledger.call(
            "settle_deliveries", worker=worker or self.worker, results=Jsonb(results), now=self.now
        )
        return {row.delivery_id: row for row in rows}

    def retry(self, **named: Any) -> int:
        return int(self.ledger.call("retry_deliveries", now=self.now, **named)[0][0])

    def release(self) -> int:
        return int(self.ledger.call("release_deliveries", worker=self.worker, now=self.now)[0][0])

    def all(self, **named: Any) -> list[Any]:
        """Every delivery, the oldest first."""
        return self.ledger.call("deliveries", max_rows=10_000, **named)[::-1]

    def states(self, **named: Any) -> list[str]:
        return [one.state for one in self.all(**named)]

    def send_all(self) -> list[Any]:
        """Everything that is due, as a receiver without faults gets it, in the order of sending."""
        sent: list[Any] = []
        while claimed := self.claim():
            self.settle("delivered", *claimed)
            sent += claimed
        return sent

    def check(self) -> None:
        """In each lane that has something to send, exactly one delivery is planned or being sent."""
        rows = sorted(self.all(), key=lambda one: (one.endpoint, one.lane, one.delivery_id))
        for lane, found in groupby(rows, key=lambda one: (one.endpoint, one.lane)):
            states = [one.state for one in found]
            first = sum(state in ("planned", "sending") for state in states)
            assert first == (1 if first or "waiting" in states else 0), (lane, states)


@pytest.fixture
def outbox(ledger: Ledger) -> Outbox:
    """An outbox that has something to tell; ``tell("a")`` writes a notification about a."""
    made = Outbox(ledger)
    made.prepare()
    return made


@pytest.fixture
def new_outbox(new_ledger: Callable[..., Ledger]) -> Callable[..., Outbox]:
    """``new_outbox("other")``: another session on the same database, which sends as a worker of its own."""
    return lambda name="other", **options: Outbox(new_ledger(name, **options), name)

"""A journal on a clock of its own: the reporting functions by SQL, and what must balance at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, ledger, midnight, new_ledger

__all__ = ["Journal", "journal", "ledger", "new_journal", "new_ledger"]

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Journal:
    """One connection's view of what is reported. ``now`` is the clock that every call is told."""

    def __init__(self, ledger: Ledger, now: datetime, worker: str = "worker_1") -> None:
        self.ledger = ledger
        self.now = now
        self.worker = worker

    def at(self, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """That long after the clock's midnight."""
        start = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        return start + timedelta(hours=hours, minutes=minutes, seconds=seconds)

    def metric(self, key: str = "tokens", aggregate: str = "sum", mode: str = "delta", **named: Any) -> None:
        """Define a metric and report it under its own name."""
        self.ledger.define(key, aggregate, **named)
        self.map(key, key, mode)

    def map(self, metric: str, event_name: str | None, mode: str = "delta", **named: Any) -> Any:
        return self.ledger.call("report_metric", metric=metric, event_name=event_name, mode=mode, **named)[0]

    def customer(self, subject: str = "acct_1", customer: str | None = "cus_1", **named: Any) -> Any:
        return self.ledger.call("report_subject", subject=subject, customer=customer, **named)[0]

    def rules(self, biller: str = "stripe", **named: Any) -> Any:
        return self.ledger.call("define_biller", biller=biller, **named)[0]

    def record(self, quantity: Any = 1, subject: str = "acct_1", metric: str = "tokens", **named: Any) -> Any:
        named.setdefault("at", self.now)
        return self.ledger.record(subject, metric, quantity, **named)

    def plan(self, **named: Any) -> int:
        named.setdefault("now", self.now)
        return int(self.ledger.call("plan_pushes", **named)[0][0])

    def preview(self, **named: Any) -> list[Any]:
        return self.ledger.call("preview_pushes", now=named.pop("now", self.now), **named)

    def claim(self, max_pushes: int = 100, **named: Any) -> list[Any]:
        named = {"biller": "stripe", "worker": self.worker, "now": self.now, **named}
        return self.ledger.call("claim_pushes", max_pushes=max_pushes, **named)

    def settle(self, claimed: Iterable[Any], outcome: str = "delivered", **extra: Any) -> list[Any]:
        results = [{"push_id": c.push_id, "attempt": c.attempt, "outcome": outcome, **extra} for c in claimed]
        return self.ledger.call(
            "settle_pushes", biller="stripe", worker=self.worker, results=Jsonb(results), now=self.now
        )

    def release(self) -> int:
        return int(
            self.ledger.call("release_pushes", biller="stripe", worker=self.worker, now=self.now)[0][0]
        )

    def deliver(self) -> list[Any]:
        """Plan, claim and deliver until there is nothing left to do."""
        delivered = []
        while self.plan():
            pass
        while claimed := self.claim():
            self.settle(claimed)
            delivered += claimed
        return delivered

    def uncertain(self) -> list[Any]:
        return self.ledger.call("uncertain_hours", now=self.now)

    def settle_hour(self, total: Any, hour: datetime, **named: Any) -> Any:
        named = {"biller": "stripe", "customer": "cus_1", "event_name": "tokens", **named}
        return self.ledger.call("settle_hour", hour=hour, total=total, now=self.now, **named)[0]

    def retry(self, identifier: str | None = None) -> list[Any]:
        return self.ledger.call("retry_pushes", identifier=identifier, now=self.now)

    def pushes(self, **named: Any) -> list[Any]:
        """Oldest first."""
        return self.ledger.call("pushes", **{"max_rows": 10000, **named})[::-1]

    def values(self, **named: Any) -> list[Decimal]:
        return [push.value for push in self.pushes(**named)]

    def states(self) -> list[str]:
        return [push.state for push in self.pushes()]

    def queue(self) -> int:
        return int(self.ledger.value("SELECT count(*) FROM meter.unreported"))

    def status(self, biller: str = "stripe", metric: str | None = None) -> dict[str, Any]:
        """By state, of one metric or of all together."""
        found: dict[str, Any] = {}
        for row in self.ledger.call("report_status", biller=biller):
            if metric is None or row.metric == metric:
                before = found.get(row.state)
                found[row.state] = row if before is None else _together(before, row)
        return found

    def leave(self, identifier: str | None = None, reason: str | None = None) -> list[Any]:
        return self.ledger.call("leave_pushes", identifier=identifier, reason=reason, now=self.now)

    def assert_balanced(self) -> None:
        """What is planned of a bucket is the sum of its pushes; with an empty queue, it is its usage."""
        assert self.ledger.rows(_PLANNED_BUT_NOT_PUSHED) == []
        if not self.queue():
            assert self.ledger.rows(_USED_BUT_NOT_PLANNED) == []


def _together(one: Any, other: Any) -> Any:
    return one._replace(
        pushes=one.pushes + other.pushes,
        quantity=one.quantity + other.quantity,
        oldest=min((row.oldest for row in (one, other) if row.oldest), default=None),
        metric=None,
    )


_PLANNED_BUT_NOT_PUSHED = """
    SELECT * FROM (
        SELECT subject, metric, biller, bucket_start, sum(value) AS pushed
        FROM meter.pushes WHERE state <> 'replaced' AND mode <> 'last' GROUP BY 1, 2, 3, 4
    ) p
    FULL JOIN (
        SELECT subject, metric, biller, bucket_start, quantity + as_events AS planned FROM meter.reported r
        WHERE NOT EXISTS (
            SELECT FROM meter.report_metrics m
            WHERE m.biller = r.biller AND m.metric = r.metric AND m.mode = 'last')
    ) r USING (subject, metric, biller, bucket_start)
    WHERE pushed IS DISTINCT FROM planned
"""

# Of subjects that have a customer, in hours, for sums and counts.
_USED_BUT_NOT_PLANNED = """
    SELECT * FROM (
        SELECT e.subject, e.metric, m.biller, sum(e.quantity) AS used,
               date_trunc('hour', e.at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS bucket_start
        FROM meter.logged_events e
        JOIN meter.report_metrics m ON m.metric = e.metric AND m.event_name IS NOT NULL AND m.mode <> 'last'
        JOIN meter.report_subjects s ON s.subject = e.subject AND s.biller = m.biller
        JOIN meter.metrics d ON d.key = e.metric AND d.aggregate IN ('sum', 'count')
        GROUP BY 1, 2, 3, 5
    ) u
    LEFT JOIN meter.reported r USING (subject, metric, biller, bucket_start)
    WHERE used IS DISTINCT FROM coalesce(r.quantity + r.as_events, 0)
"""


@pytest.fixture
def clock() -> datetime:
    """Half past ten, the day before yesterday."""
    return midnight(-2) + timedelta(hours=10, minutes=30)


@pytest.fixture
def journal(ledger: Ledger, clock: datetime) -> Journal:
    """``tokens`` (a sum, as deltas) is reported, ``acct_1`` is ``cus_1``."""
    journal = Journal(ledger, clock)
    journal.metric()
    journal.customer()
    return journal


@pytest.fixture
def new_journal(new_ledger: Callable[..., Ledger], clock: datetime) -> Callable[..., Journal]:
    """``new_journal("other", autocommit=False)``: another session, which works under its own name."""
    return lambda name="other", **options: Journal(new_ledger(name, **options), clock, worker=name)

"""rebuild() corrects only series that nobody has changed since it read them: every kind of change counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, Task, at, covering
from tests.repair.test_rebuild import wait_for

NewLedger = Callable[..., Ledger]

EARLIER = at("2026-06-18 14:30")


def _event(**named: Any) -> Callable[[Ledger], Any]:
    return lambda writer: writer.record("a", "hot", 5, **named)


def _batch(*times: datetime) -> Callable[[Ledger], Any]:
    return lambda writer: writer.batch(
        [{"subject": "a", "metric": "hot", "quantity": 5, "at": time} for time in times]
    )


# What each of them writes: the row of its stripe, rollups, all rows of the series, or its definition.
CHANGES: dict[str, Callable[[Ledger], Any]] = {
    "an event": _event(at=EARLIER),
    "a late event": _event(at=EARLIER - timedelta(days=40)),
    "an event that closes the bucket": _event(),
    "an event ahead of the clock": lambda writer: writer.record(
        "a", "hot", 5, at=datetime.now(UTC) + timedelta(hours=5)
    ),
    "a batch": _batch(EARLIER, EARLIER - timedelta(hours=3)),
    "a new series": lambda writer: writer.record("b", "hot", 5, at=EARLIER),
    "merged stripes": lambda writer: writer.maintain(),
    "another period of stripes": lambda writer: (writer.record("a", "hot", 5), writer.maintain()),
    "no stripes any more": lambda writer: (
        writer.define("hot", "sum", striped=not writer.value("SELECT bool_and(striped) FROM meter.metrics")),
        writer.maintain(),
    ),
    "another rollup": lambda writer: writer.define("hot", "sum", rollup="day"),
    "another unit": lambda writer: writer.define("hot", "sum", unit="other"),
    "retired": lambda writer: writer.call("retire_metric", key="hot"),
}


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("end", "change", "tamper", "striped"),
    covering(2, ["commit", "rollback"], CHANGES, ["wrong", "forgotten", "in rollups as well"], [True, False]),
)
def test_p4_a_change_that_is_in_flight_when_the_rebuild_begins(
    ledger: Ledger, new_ledger: NewLedger, change: str, tamper: str, end: str, striped: bool
) -> None:
    """The snapshot of the rebuild is without it. It waits for a row, then reads the series again."""
    ledger.define("hot", "sum", striped=striped)
    for session in (ledger, new_ledger("other")):
        for hours in (2, 0):
            session.record("a", "hot", 1, at=EARLIER - timedelta(hours=hours))
    ledger.maintain()  # the months have their partitions
    if tamper == "wrong":
        ledger.tamper("total = total + 1")
    elif tamper == "forgotten":
        ledger.forget()
    else:
        ledger.execute(
            "INSERT INTO meter.rollups (series_id, stripe, bucket, bucket_start, event_count, last_at, total)"
            " SELECT series_id, stripe, bucket, bucket_start, event_count, last_at, total FROM meter.buckets"
            " ON CONFLICT DO NOTHING"
        )
    writer, rebuilder = new_ledger("writer", autocommit=False), new_ledger("rebuilder")
    CHANGES[change](writer)
    rebuilding = Task(rebuilder.rebuild)
    wait_for(ledger, rebuilding, "rebuilder")
    getattr(writer.connection, end)()
    rebuilding.result()
    assert ledger.verify() == []
    total = ledger.usage("a", "hot", period="never")
    assert (total.quantity, total.event_count) == ledger.brute("a", "hot")

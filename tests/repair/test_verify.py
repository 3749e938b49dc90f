"""verify() reports exactly the rows that differ from the log."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import AGGREGATES, Ledger, at

MOMENT = at("2026-06-18 14:30")


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate)
        for subject in ("a", "b"):
            for i in range(3):
                given: dict[str, Any] = {"member": f"u{i}"} if aggregate == "unique" else {"quantity": i + 1}
                ledger.record(subject, aggregate, at=MOMENT, **given)
    return ledger


def test_p4_without_tampering_there_is_no_row(filled: Ledger) -> None:
    assert filled.verify() == []


def test_p4_a_changed_total_is_reported_with_both_numbers(filled: Ledger) -> None:
    filled.execute(
        "UPDATE meter.rollups SET total = 7 WHERE subject = 'a' AND metric = 'sum' AND bucket = 'hour'"
    )
    (drift,) = filled.verify()
    assert drift[:6] == ("a", "sum", "hour", at("2026-06-18 14:00"), Decimal(7), Decimal(6))


@pytest.mark.parametrize(
    "change",
    [
        "event_count = event_count + 1",
        "last_at = last_at + interval '1 microsecond'",
        "last_event_id = 7",
        "total = 99",
        "lowest = -99",
        "highest = 99",
        "latest = 99",
    ],
)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_p4_every_changed_column_of_every_aggregate_is_reported(
    filled: Ledger, change: str, aggregate: str
) -> None:
    filled.execute(
        f"UPDATE meter.rollups SET {change}"
        f" WHERE subject = 'a' AND metric = '{aggregate}' AND bucket = 'month'"
    )
    assert [d[:4] for d in filled.verify()] == [("a", aggregate, "month", at("2026-06-01"))]
    assert filled.verify(subject="b") == []
    assert filled.verify(metric="count" if aggregate != "count" else "sum") == []


def test_p4_missing_and_surplus_rows_are_reported(filled: Ledger) -> None:
    filled.execute("DELETE FROM meter.rollups WHERE subject = 'a' AND metric = 'max' AND bucket = 'month'")
    filled.execute(
        "INSERT INTO meter.rollups (subject, metric, bucket, bucket_start, event_count, last_at, highest)"
        " SELECT 'c', 'max', 'hour', bucket_start, 1, last_at, 5 FROM meter.rollups"
        " WHERE subject = 'a' AND metric = 'max'"
    )
    missing, surplus = filled.verify()
    assert missing[:6] == ("a", "max", "month", at("2026-06-01"), None, 3)
    assert surplus[:6] == ("c", "max", "hour", at("2026-06-18 14:00"), 5, None)


def test_p4_missing_and_surplus_members_are_reported(filled: Ledger) -> None:
    filled.execute(
        "UPDATE meter.unique_members SET seen = seen & ~ seen WHERE subject = 'a' AND member_digest = ("
        "SELECT member_digest FROM meter.unique_members ORDER BY 1 LIMIT 1)"
    )
    filled.execute(
        "INSERT INTO meter.unique_members"
        " SELECT DISTINCT bucket_start, subject, metric, bucket, '\\x00'::bytea"
        " FROM meter.unique_members WHERE subject = 'b' AND bucket = 'month'"
    )
    drifts = filled.verify()
    assert [d[:3] for d in drifts] == [("a", "unique", "hour"), ("b", "unique", "month")]
    assert {d.what for d in drifts} == {"members"}


def test_p4_a_member_without_any_rollup_is_reported(filled: Ledger) -> None:
    filled.execute(
        "INSERT INTO meter.unique_members"
        " SELECT DISTINCT bucket_start, 'ghost', metric, bucket, '\\x00'::bytea"
        " FROM meter.unique_members WHERE subject = 'b' AND bucket = 'month'"
    )
    (drift,) = filled.verify()
    assert drift[:4] == ("ghost", "unique", "month", at("2026-06-01"))
    filled.rebuild()
    assert filled.verify() == []
    assert filled.value("SELECT count(*) FROM meter.unique_members WHERE subject = 'ghost'") == 0


def test_p4_rows_of_a_metric_that_nobody_defined_are_reported(filled: Ledger) -> None:
    filled.execute(
        "INSERT INTO meter.rollups (subject, metric, bucket, bucket_start, event_count, last_at, total)"
        " SELECT subject, 'ghost', bucket, bucket_start, 1, last_at, 5 FROM meter.rollups"
        " WHERE subject = 'a' AND metric = 'sum'"
    )
    assert {d.metric for d in filled.verify()} == {"ghost"}
    filled.rebuild()
    assert filled.verify() == []


def test_p4_an_unknown_event_in_the_log_is_reported(filled: Ledger) -> None:
    """The owner can insert into the log; the rollups then miss it."""
    filled.execute(
        "INSERT INTO meter.events (at, subject, metric, quantity)"
        " VALUES ('2026-06-18 14:30Z', 'a', 'sum', 10)"
    )
    assert [(d.subject, d.metric, d.bucket, d.stored, d.recomputed) for d in filled.verify()] == [
        ("a", "sum", "hour", 6, 16),
        ("a", "sum", "month", 6, 16),
    ]

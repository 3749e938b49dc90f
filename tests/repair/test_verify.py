"""verify() reports exactly the rows that differ from the log."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import AGGREGATES, Ledger, at

MOMENT = at("2026-06-18 14:30")
NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"


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
    filled.tamper("total = 7", "subject = 'a' AND metric = 'sum' AND bucket = 'hour'")
    (drift,) = filled.verify()
    assert drift[:6] == ("a", "sum", "hour", at("2026-06-18 14:00"), Decimal(7), Decimal(6))


@pytest.mark.parametrize(
    "change",
    [
        "event_count = event_count + 1",
        "last_at = last_at + interval '1 microsecond'",
        "total = 99",
        "lowest = -99",
        "highest = 99",
        "latest = ARRAY[1, 2, 99]",
        "latest = ARRAY[latest[1], latest[2] + 1, latest[3]]",
    ],
)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_p4_every_changed_column_of_every_aggregate_is_reported(
    filled: Ledger, change: str, aggregate: str
) -> None:
    if aggregate != "last" and "latest[1]" in change:
        change = "latest = ARRAY[0, 7, 0]"
    filled.tamper(change, f"subject = 'a' AND metric = '{aggregate}' AND bucket = 'month'")
    assert [d[:4] for d in filled.verify()] == [("a", aggregate, "month", at("2026-06-01"))]
    assert filled.verify(subject="b") == []
    assert filled.verify(metric="count" if aggregate != "count" else "sum") == []


def test_p4_missing_and_surplus_rows_are_reported(filled: Ledger) -> None:
    filled.record("c", "max", 5, at=MOMENT + timedelta(days=40))
    filled.forget("subject = 'a' AND metric = 'max' AND bucket = 'month'")
    filled.execute(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, event_count, last_at, highest)"
        " SELECT series_id, 'hour', '2026-06-18 14:00Z', 1, '2026-06-18 14:30Z', 5 FROM meter.series"
        " WHERE subject = 'c'"
    )
    missing, surplus = filled.verify()
    assert missing[:6] == ("a", "max", "month", at("2026-06-01"), None, 3)
    assert surplus[:6] == ("c", "max", "hour", at("2026-06-18 14:00"), 5, None)


def test_p4_a_bucket_that_is_open_and_in_rollups_as_well_is_reported(filled: Ledger) -> None:
    """Even if the two rows together are right: recording would add to only one of them."""
    before = filled.state()
    filled.execute(
        "UPDATE meter.series SET fine_count = 1, fine_total = 1 WHERE subject = 'a' AND metric = 'sum'"
    )
    filled.execute(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, event_count, last_at, total)"
        " SELECT series_id, 'hour', fine_start, 2, fine_last_at, 5 FROM meter.series"
        " WHERE subject = 'a' AND metric = 'sum'"
    )
    (drift,) = filled.verify()
    assert drift == ("a", "sum", "hour", at("2026-06-18 14:00"), 6, 6, "rollup")
    assert filled.rebuild() == 1
    assert filled.verify() == []
    assert filled.state() == before


@pytest.mark.parametrize(
    "change", ["fine_end = fine_end + interval '1 hour'", "coarse_end = coarse_end - interval '1 day'"]
)
def test_p4_an_open_bucket_with_a_wrong_end_is_reported(filled: Ledger, change: str) -> None:
    before = filled.state()
    filled.execute(f"UPDATE meter.series SET {change} WHERE subject = 'a' AND metric = 'sum'")
    (drift,) = filled.verify()
    assert drift[:3] == ("a", "sum", "hour" if "fine" in change else "month")
    assert filled.rebuild() == 1
    assert filled.state() == before


def test_p4_missing_and_surplus_members_are_reported(filled: Ledger) -> None:
    filled.execute(
        "UPDATE meter.unique_members SET seen = seen & ~ seen WHERE series_id = "
        "(SELECT series_id FROM meter.series WHERE subject = 'a' AND metric = 'unique') AND member_digest = ("
        "SELECT member_digest FROM meter.unique_members ORDER BY 1 LIMIT 1)"
    )
    filled.execute(
        "INSERT INTO meter.unique_members (bucket_start, series_id, member_digest, bucket)"
        f" SELECT DISTINCT bucket_start, series_id, {NOBODY}, bucket"
        " FROM meter.unique_members JOIN meter.series USING (series_id)"
        " WHERE subject = 'b' AND bucket = 'month'"
    )
    drifts = filled.verify()
    assert [d[:3] for d in drifts] == [("a", "unique", "hour"), ("b", "unique", "month")]
    assert {d.what for d in drifts} == {"members"}


def test_p4_a_member_without_any_rollup_is_reported(filled: Ledger) -> None:
    filled.execute(
        "INSERT INTO meter.series SELECT (jsonb_populate_record(s, jsonb_build_object("
        "'subject', 'ghost', 'series_id', 1000, 'fine_count', 0, 'coarse_count', 0,"
        " 'fine_last_at', '-infinity', 'coarse_last_at', '-infinity'))).*"
        " FROM meter.series s WHERE subject = 'b' AND metric = 'unique'"
    )
    filled.execute(
        "INSERT INTO meter.unique_members (bucket_start, series_id, member_digest, bucket)"
        f" SELECT DISTINCT bucket_start, 1000, {NOBODY}, bucket"
        " FROM meter.unique_members JOIN meter.series USING (series_id)"
        " WHERE subject = 'b' AND bucket = 'month'"
    )
    (drift,) = filled.verify()
    assert drift[:4] == ("ghost", "unique", "month", at("2026-06-01"))
    filled.rebuild()
    assert filled.verify() == []
    assert filled.value("SELECT count(*) FROM meter.unique_members WHERE series_id = 1000") == 0


def test_p4_rows_of_a_metric_that_nobody_defined_are_reported(filled: Ledger) -> None:
    filled.execute(
        "INSERT INTO meter.series SELECT (jsonb_populate_record(s, jsonb_build_object("
        "'metric', 'ghost', 'series_id', 1000))).* FROM meter.series s WHERE subject = 'a' AND metric = 'sum'"
    )
    filled.execute(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, event_count, last_at, total)"
        " SELECT 1000, bucket, bucket_start, 1, last_at, 5 FROM meter.buckets"
        " WHERE subject = 'a' AND metric = 'sum'"
    )
    assert {d.metric for d in filled.verify()} == {"ghost"}
    filled.rebuild()
    assert filled.verify() == []


def test_p4_rows_of_a_series_that_does_not_exist_are_reported(filled: Ledger) -> None:
    filled.execute(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, event_count, last_at, total)"
        " SELECT 1000, bucket, bucket_start, 1, last_at, 5 FROM meter.buckets"
        " WHERE subject = 'a' AND metric = 'sum'"
    )
    assert [(d.subject, d.metric) for d in filled.verify()] == [(None, None)] * 2
    filled.rebuild()
    assert filled.verify() == []


def test_p4_an_unknown_event_in_the_log_is_reported(filled: Ledger) -> None:
    """The owner can insert into the log; the rollups then miss it."""
    filled.execute(
        "INSERT INTO meter.events (event_id, at, recorded_at, series_id, quantity)"
        " SELECT 1000, '2026-06-18 14:30Z', now(), series_id, 10 FROM meter.series"
        " WHERE subject = 'a' AND metric = 'sum'"
    )
    assert [(d.subject, d.metric, d.bucket, d.stored, d.recomputed) for d in filled.verify()] == [
        ("a", "sum", "hour", 6, 16),
        ("a", "sum", "month", 6, 16),
    ]

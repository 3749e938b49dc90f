"""maintain() keeps the totals of what it drops, for verify() and rebuild()."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import AGGREGATES, AT_LENGTH, Ledger, at

KEEP = "13 months"
LONG_PERIODS = ("week", "month", "year", "never")
# The last week of January 2024 ends in February.
DAYS = ("2024-01-15 10:15", "2024-01-29 08:00", "2024-01-31 23:00", "2024-02-02 09:30", "2026-06-18 12:00")
EMPTY = {"sum": "total", "count": "total", "avg": "total", "unique": "total"} | {
    "min": "lowest",
    "max": "highest",
    "last": "latest",
}


def given(aggregate: str, i: int) -> dict[str, Any]:
    return {"member": f"u{i % 3}"} if aggregate == "unique" else {"quantity": (i * 7) % 5 + 1}


def record_all(ledger: Ledger, metric: str, aggregate: str, days: tuple[str, ...] = DAYS) -> None:
    for i, day in enumerate(days):
        ledger.record("a", metric, at=at(day), **given(aggregate, i))


def drop(ledger: Ledger, **named: Any) -> set[str]:
    ledger.maintain()
    return {what.split(":")[0].split(" ")[0] for action, what in ledger.maintain(keep=KEEP, **named)}


def derived(ledger: Ledger) -> dict[str, list[Any]]:
    rows = ledger.derived()
    return {"rollups": rows["rollups"], "members": rows["members"]}


# How a month goes does not depend on what was counted in it: every aggregate meets one rollup and one way,
# and each rollup each way; in the long run, all meet.
KINDS = [
    (aggregate, rollup, detach)
    for i, aggregate in enumerate(AGGREGATES)
    for j, rollup in enumerate(("hour", "none"))
    for detach in (False, True)
    if AT_LENGTH or (i % 2, i // 2 % 2) == (j, detach)
]


@pytest.mark.at_length
@pytest.mark.parametrize(("aggregate", "rollup", "detach"), KINDS)
def test_a_long_bucket_is_verified_and_rebuilt_after_its_months_were_dropped(
    ledger: Ledger, aggregate: str, rollup: str, detach: bool
) -> None:
    for period in LONG_PERIODS:
        ledger.define(period, aggregate, period=period, rollup=rollup)
        record_all(ledger, period, aggregate)
    assert drop(ledger, detach=detach) == {"events_2024_01", "events_2024_02"}
    assert ledger.verify() == []
    right = derived(ledger)
    for period in LONG_PERIODS:
        for change in (
            f"{EMPTY[aggregate]} = {'ARRAY[1, 2, 99]' if aggregate == 'last' else 99}",
            "event_count = event_count + 1",
            "last_at = '2020-01-01Z'",
        ):
            ledger.tamper(change, f"bucket = '{period}' AND bucket_start < '2025-01-01Z'")
            assert {drift.bucket for drift in ledger.verify()} == {period}, change
            ledger.rebuild()
            assert ledger.verify() == []
            assert derived(ledger) == right
        ledger.forget(f"bucket = '{period}'")
        assert ledger.verify() != []
        ledger.rebuild()
        assert derived(ledger) == right


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "period"),
    [
        (aggregate, period)
        for i, aggregate in enumerate(AGGREGATES)
        for j, period in enumerate(("year", "never", "month", "hour"))
        if AT_LENGTH or (i + j) % 4 == 0 or (aggregate, period) == ("unique", "never")
    ],
)
def test_late_events_of_a_dropped_month_are_verified_and_dropped_in_their_turn(
    ledger: Ledger, aggregate: str, period: str
) -> None:
    ledger.define("m", aggregate, period=period)
    record_all(ledger, "m", aggregate)
    assert drop(ledger) == {"events_2024_01", "events_2024_02"}
    for i, day in enumerate(("2024-01-15 10:20", "2024-01-03 01:00", "2024-01-31 23:30")):
        ledger.record("a", "m", at=at(day), **given(aggregate, 11 + i))
        assert ledger.verify() == []
        right = derived(ledger)
        assert ledger.rebuild() == 0
        bucket = ledger.value(
            "SELECT min(bucket) FROM meter.buckets WHERE bucket <> 'hour' OR %s = 'hour'", [period]
        )
        before = ledger.rows(
            "SELECT event_count FROM meter.buckets WHERE bucket = %s ORDER BY bucket_start", [bucket]
        )
        ledger.tamper("event_count = event_count - 1", f"bucket = '{bucket}'")
        ledger.maintain()
        assert any(action == "kept partition" for action, _ in ledger.maintain(keep=KEEP))
        assert ledger.verify() != []
        if period == "hour":
            ledger.tamper("event_count = event_count + 1")
        ledger.rebuild()
        after = ledger.rows(
            "SELECT event_count FROM meter.buckets WHERE bucket = %s ORDER BY bucket_start", [bucket]
        )
        assert after == before
        assert derived(ledger) == right
        assert ledger.verify() == []
        assert drop(ledger) == {"events_2024_01"}
        assert ledger.verify() == []
        assert ledger.rebuild() == 0


@pytest.mark.parametrize("period", ["month", "year"])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_the_hours_of_a_dropped_month_are_verified_together(
    ledger: Ledger, aggregate: str, period: str
) -> None:
    ledger.define("m", aggregate, period=period)
    record_all(ledger, "m", aggregate)
    drop(ledger)
    ledger.tamper("event_count = 9", "bucket = 'hour' AND bucket_start = '2024-01-15 10:00Z'")
    (drift,) = ledger.verify()
    assert (drift.bucket, drift.bucket_start, drift.what) == ("hour", at("2024-01-01"), "month")
    assert ledger.rebuild() == 0
    ledger.tamper("event_count = 1", "event_count = 9")
    assert ledger.verify() == []


@pytest.mark.parametrize("rollup", ["hour", "none"])
@pytest.mark.parametrize("period", ["week", "year", "never"])
def test_members_of_a_long_bucket_are_verified_and_rebuilt(ledger: Ledger, period: str, rollup: str) -> None:
    ledger.define("m", "unique", period=period, rollup=rollup)
    record_all(ledger, "m", "unique")
    drop(ledger)
    right = derived(ledger)
    ledger.execute(
        "DELETE FROM meter.unique_members WHERE bucket = %s AND bucket_start < '2024-02-01Z'", [period]
    )
    assert {drift.what for drift in ledger.verify()} == {"members"}
    ledger.rebuild()
    assert derived(ledger) == right
    ledger.execute(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest)"
        " SELECT series_id, bucket, bucket_start, '00000000-0000-0000-0000-000000000000' FROM meter.buckets"
        " WHERE bucket = %s LIMIT 1",
        [period],
    )
    assert {drift.what for drift in ledger.verify()} == {"members"}
    ledger.rebuild()
    assert derived(ledger) == right


def test_the_members_of_a_late_event_are_verified(ledger: Ledger) -> None:
    ledger.define("m", "unique")
    record_all(ledger, "m", "unique")
    drop(ledger)
    ledger.record("a", "m", member="late", at=at("2024-01-15 10:40"))
    right = derived(ledger)
    ledger.execute(
        "UPDATE meter.unique_members SET seen = 0::bit(744)::bit varying"
        " WHERE member_digest = meter._digest('late')"
    )
    assert ledger.verify() != []
    ledger.rebuild()
    assert derived(ledger) == right
    assert ledger.verify() == []


def test_several_subjects_and_metrics_keep_their_own_totals(ledger: Ledger) -> None:
    for metric in ("m", "n"):
        ledger.define(metric, "sum", period="year")
        for subject in ("a", "b"):
            ledger.record(subject, metric, 5, at=at("2024-01-15"))
            ledger.record(subject, metric, 7, at=at("2026-06-15"))
    drop(ledger)
    ledger.tamper("total = 1", "subject = 'b' AND metric = 'n' AND bucket = 'year'")
    assert [(d.subject, d.metric) for d in ledger.verify()] == [("b", "n")] * 2
    assert ledger.verify(subject="a") == ledger.verify(metric="m") == []
    assert ledger.rebuild(metric="m") == 0
    assert ledger.rebuild(subject="b", metric="n") == 2
    assert ledger.verify() == []


def test_a_month_that_was_dropped_by_hand_leaves_its_buckets_out_and_no_others(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="year")
    for day in ("2023-01-15", "2024-01-15", "2026-06-15"):
        ledger.record("a", "m", 5, at=at(day))
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2023_01")
    drop(ledger)
    assert ledger.verify() == []
    ledger.tamper("total = 1", "bucket = 'year'")
    assert [d.bucket_start for d in ledger.verify()] == [at("2024-01-01"), at("2026-01-01")]


def test_a_postponed_month_leaves_no_totals_behind(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="year")
    ledger.record("a", "m", 5, at=at("2024-01-15"))
    ledger.maintain()
    ledger.execute("CREATE VIEW january AS SELECT * FROM meter.events_2024_01")
    assert ledger.maintain(keep=KEEP)[0][0] == "kept partition"
    assert ledger.verify() == []
    ledger.execute("DROP VIEW january")
    assert ledger.maintain(keep=KEEP) == [("dropped partition", "events_2024_01")]
    assert ledger.verify() == []
    ledger.tamper("total = 10", "bucket = 'year'")
    assert ledger.verify() != []


@pytest.mark.parametrize("name", ["events_2024_01", "events_2024_01_detached"])
def test_a_detached_month_that_is_attached_again_is_not_counted_twice(ledger: Ledger, name: str) -> None:
    ledger.define("m", "sum", period="year")
    ledger.record("a", "m", 5, at=at("2024-01-15"))
    drop(ledger, detach=True)
    ledger.execute("DROP TRIGGER events_are_append_only ON meter.events_2024_01_detached")
    if name != "events_2024_01_detached":
        ledger.execute(f"ALTER TABLE meter.events_2024_01_detached RENAME TO {name}")
    ledger.execute(
        f"ALTER TABLE meter.events ATTACH PARTITION meter.{name}"
        " FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z')"
    )
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    assert ledger.usage("a", "m", period="never").quantity == 5


def test_late_events_of_several_dropped_months_are_verified_and_dropped_in_their_turn(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    months = [f"2020-{month:02}" for month in range(1, 7)]
    partitions = {f"events_{month.replace('-', '_')}" for month in months}
    for month in months:
        ledger.record("a", "m", 1, at=at(f"{month}-10 00:30"))
    assert drop(ledger) == partitions
    for month in months:
        ledger.record("a", "m", 1, at=at(f"{month}-11 00:30"))
    assert ledger.verify() == []
    assert drop(ledger) == partitions
    assert ledger.verify() == []
    assert ledger.usage("a", "m", since=at("2020-01-01"), until=at("2021-01-01")).quantity == 12

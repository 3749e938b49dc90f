"""What has no data is told from what is 0; a `last` with carry keeps its value until the next event."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Ledger, at, refused

ADDITIVE = ("sum", "count", "unique")
JUNE = {"since": at("2026-06-01"), "until": at("2026-07-01")}
AUGUST = {"period": "month", "now": at("2026-08-15")}


def given(aggregate: str, number: int = 0) -> dict[str, Any]:
    return {"member": f"u{number}"} if aggregate == "unique" else {"quantity": number}


def days(ledger: Ledger, metric: str, first: str, last: str, step: str = "day") -> list[Any]:
    rows = ledger.call("series", subject="a", metric=metric, since=at(first), until=at(last), step=step)
    return [(row.quantity, row.event_count, row.has_data) for row in rows]


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_total_says_whether_there_was_data(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    ledger.record("a", "m", at=at("2026-06-18"), **given(aggregate))
    assert ledger.usage("a", "m", **JUNE).has_data is True
    empty = ledger.usage("a", "m", **AUGUST)
    assert (empty.quantity, empty.event_count, empty.has_data) == (0, 0, False)
    assert [row.has_data for row in ledger.call("summary", subject="a", **JUNE)] == [True]
    assert [row.has_data for row in ledger.call("summary", subject="a", **AUGUST)] == [False]


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_bucket_without_events_is_zero_where_things_add_up_and_a_gap_elsewhere(
    ledger: Ledger, aggregate: str
) -> None:
    ledger.define("m", aggregate)
    ledger.record("a", "m", at=at("2026-06-02"), **given(aggregate))
    nothing = (0 if aggregate in ADDITIVE else None, 0, False)
    value = 1 if aggregate == "unique" else 0
    assert days(ledger, "m", "2026-06-01", "2026-06-04") == [nothing, (value, 1, True), nothing]


# --------------------------------------------------------------------------------------------- carry-over


@pytest.fixture
def seats(ledger: Ledger) -> Ledger:
    ledger.define("seats", "last", "seat", carry=True)
    ledger.record("a", "seats", 3, at=at("2026-06-02 09:15"))
    ledger.record("a", "seats", 8, at=at("2026-06-05 17:45"))
    return ledger


def test_a_quiet_window_has_the_last_value_before_it(seats: Ledger) -> None:
    total = seats.usage("a", "seats", **AUGUST)
    assert (total.quantity, total.event_count, total.has_data) == (8, 0, True)
    assert seats.call("summary", subject="a", **AUGUST) == [total]
    assert seats.usage("a", "seats", since=at("2026-06-03"), until=at("2026-06-05")).quantity == 3
    assert seats.usage("a", "seats", period="month", now=at("2026-05-15")).has_data is False
    assert seats.usage("b", "seats", **AUGUST).has_data is False


def test_a_quota_counts_what_is_carried_over(seats: Ledger) -> None:
    status = seats.call("check_quota", subject="a", metric="seats", quota=10, requested=3, **AUGUST)[0]
    assert (status.used, status.allowed, status.remaining) == (8, False, 2)
    status = seats.call("check_quota", subject="a", metric="seats", quota=10, now=at("2026-08-15"))[0]
    assert status.used == 8


def test_a_series_goes_on_with_the_last_value(seats: Ledger) -> None:
    assert days(seats, "seats", "2026-06-01", "2026-06-08") == [
        (None, 0, False), (3, 1, True), (3, 0, True), (3, 0, True), (8, 1, True), (8, 0, True), (8, 0, True)
    ]  # fmt: skip
    assert days(seats, "seats", "2026-08-01", "2026-08-03") == [(8, 0, True)] * 2
    assert days(seats, "seats", "2026-06-05 17:00", "2026-06-05 18:30", "30m") == [
        (3, 0, True), (8, 1, True), (8, 0, True)
    ]  # fmt: skip


def test_what_is_not_to_be_carried_is_not(seats: Ledger) -> None:
    seats.define("seats", "last", "seat", carry=False)
    assert seats.usage("a", "seats", **AUGUST).has_data is False
    assert days(seats, "seats", "2026-08-01", "2026-08-02") == [(None, 0, False)]


def test_a_value_is_carried_until_the_metric_is_retired(seats: Ledger) -> None:
    seats.call("retire_metric", key="seats")
    seats.execute("UPDATE meter.metrics SET retired_at = '2026-08-20Z'")
    assert [row.quantity for row in seats.call("summary", subject="a", **AUGUST)] == [8]
    september = {"period": "month", "now": at("2026-09-15")}
    assert seats.call("summary", subject="a", **september) == []
    assert seats.usage("a", "seats", **september).has_data is False
    assert days(seats, "seats", "2026-08-19", "2026-08-21") == [(8, 0, True), (None, 0, False)]


@pytest.mark.parametrize("period", PERIODS)
def test_every_window_has_the_last_value_before_its_end(ledger: Ledger, period: str) -> None:
    """usage() of a carried metric is the value of the latest event before the window's end."""
    texts = ("2026-06-02 09:15", "2026-06-02 09:15:30", "2026-06-30 23:59:59.999999", "2026-07-08")
    times = [at(text) for text in texts]
    near = {moment + timedelta(microseconds=n) for moment in times for n in (-1, 0, 1)}
    edges = sorted(near | {at("2026-06-02 09:00"), at("2026-08-01")})
    for rollup in ROLLUPS:
        metric = f"m {rollup}"
        ledger.define(metric, "last", period=period, rollup=rollup, carry=True)
        for number, moment in enumerate(times, 1):
            ledger.record("a", metric, number, at=moment)
        for since, until in itertools.combinations(edges, 2):
            before = [n for n, moment in enumerate(times, 1) if moment < until]
            total = ledger.usage("a", metric, since=since, until=until)
            assert (total.quantity, total.has_data) == ((before or [0])[-1], bool(before)), (
                rollup,
                since,
                until,
            )


def test_stripes_are_looked_at_together(ledger: Ledger, new_ledger: Any) -> None:
    ledger.define("seats", "last", carry=True, striped=True)
    ledger.record("a", "seats", 1, at=at("2026-05-02"))  # from here on, writers do not wait for one another
    first = new_ledger("first", autocommit=False)
    first.record("a", "seats", 9, at=at("2026-06-02 09:45"))
    ledger.record("a", "seats", 4, at=at("2026-06-02 09:15"))
    first.connection.commit()
    assert ledger.usage("a", "seats", **AUGUST).quantity == 9


def test_dropped_months_are_carried_from_their_rollups_and_a_cut_hour_is_refused(ledger: Ledger) -> None:
    ledger.define("seats", "last", carry=True)
    for minute, seats in ((15, 3), (45, 8)):
        ledger.record("a", "seats", seats, at=at(f"2024-01-15 10:{minute}"))
    ledger.maintain()
    assert ("dropped partition", "events_2024_01") in ledger.maintain(keep="13 months")
    assert ledger.usage("a", "seats", **AUGUST).quantity == 8
    with refused("UM006"):
        ledger.usage("a", "seats", since=at("2024-01-15 10:20"), until=at("2024-01-15 10:30"))


def test_pushes_are_planned_from_what_was_recorded_alone(seats: Ledger) -> None:
    seats.rows("SELECT * FROM meter.report_metric('seats', 'seats', 'last')")
    seats.rows("SELECT * FROM meter.report_subject('a', 'cus_1')")
    rows = seats.rows("SELECT bucket_start FROM meter.preview_pushes()")
    assert [row.bucket_start for row in rows] == [at("2026-06-01")]

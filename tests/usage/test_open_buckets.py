"""What is read from the open buckets in series, beside rollups and the log, in every position of a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest

from tests.helpers import AGGREGATES, AT_LENGTH, Ledger, at, at_length

KINDS = (
    ("month", "hour"),
    ("month", "minute"),
    ("week", "minute"),
    ("hour", "minute"),
    ("minute", "day"),
    ("hour", "day"),
    ("day", "none"),
    ("never", "none"),
)
INSTANT = timedelta(microseconds=1)
# Of the windows of one kind and aggregate, every so manieth is asked for; the other kinds ask for the others.
STEP = at_length(6, 1)
# The latest event is at 14:30:20 of the 18th: these are the open minute, hour, day, week and month, and what
# is beside them.
EVENTS = [
    at(text)
    for text in (
        "2026-05-31 23:59:59",
        "2026-06-01",
        "2026-06-17 14:30:20",
        "2026-06-18 13:59:59.999999",
        "2026-06-18 14:00",
        "2026-06-18 14:29:59",
        "2026-06-18 14:30",
        "2026-06-18 14:30:10",
        "2026-06-18 14:30:20",
    )
]
MARKS = [
    at(text)
    for text in (
        "1970-01-01",
        "2026-06-01",
        "2026-06-15",
        "2026-06-18",
        "2026-06-18 13:20",
        "2026-06-18 14:00",
        "2026-06-18 14:29:30",
        "2026-06-18 14:30",
        "2026-06-18 14:30:05",
        "2026-06-18 14:30:20",
        "2026-06-18 14:30:20.000001",
        "2026-06-18 14:31",
        "2026-06-18 15:00",
        "2026-06-18 15:00:30",
        "2026-06-19",
        "2026-06-22",
        "2026-07-01",
        "2026-07-09 10:11:12",
    )
]


def event(aggregate: str, number: int) -> dict[str, Any]:
    """Two members take turns; quantities go up and down."""
    return {"member": f"u{number % 3}"} if aggregate == "unique" else {"quantity": (number * 7) % 11 + 1}


def define_all(
    ledger: Ledger, aggregate: str, kinds: Sequence[tuple[str, str]] = KINDS, **more: Any
) -> list[str]:
    metrics = [f"{period} {rollup}" for period, rollup in kinds]
    for metric, (period, rollup) in zip(metrics, kinds, strict=True):
        ledger.define(metric, aggregate, period=period, rollup=rollup, **more)
    return metrics


def some_kinds(aggregate: str, way: bool) -> Sequence[tuple[str, str]]:
    """Every kind meets every aggregate in one of two ways; at length in both."""
    return KINDS if AT_LENGTH else KINDS[(AGGREGATES.index(aggregate) + way) % 2 :: 2]


def assert_every_window_is_exact(ledger: Ledger, aggregate: str, metric: str, marks: list[datetime]) -> None:
    windows: list[tuple[datetime | None, datetime | None]] = list(combinations(marks, 2))
    windows += [(None, mark) for mark in marks] + [(mark, None) for mark in marks]
    kind = KINDS.index((*metric.split(),))  # type: ignore[arg-type]
    windows = windows[(AGGREGATES.index(aggregate) + kind) % STEP :: STEP]
    expected = ledger.brute_each("a", metric, windows)
    rows = ledger.rows(
        "SELECT u.quantity, u.event_count FROM unnest(%s::timestamptz[], %s::timestamptz[]) w (since, until)"
        " CROSS JOIN LATERAL meter.usage('a', %s, since => w.since, until => w.until) u",
        [[since for since, _ in windows], [until for _, until in windows], metric],
    )
    wrong = [
        (window, tuple(row), right)
        for window, row, right in zip(windows, rows, expected, strict=True)
        if tuple(row) != right
    ]
    assert not wrong, (metric, wrong[:3])
    for since, until in windows[:: max(1, len(marks) // STEP)]:
        if since is not None and until is not None:
            total = ledger.usage("a", metric, since=since, until=until)
            totals = ledger.call("totals", metric=metric, since=since, until=until)
            assert totals == ([("a", total.quantity, total.event_count)] if total.has_data else [])


@pytest.mark.at_length
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("one_by_one", [True, False], ids=["record", "batch"])
def test_a_window_that_begins_or_ends_in_beside_or_at_an_open_bucket(
    ledger: Ledger, aggregate: str, one_by_one: bool
) -> None:
    for metric in define_all(ledger, aggregate, some_kinds(aggregate, one_by_one)):
        # The last but two is late: by then the minute of the latest is open.
        order = [*EVENTS[:-3], EVENTS[-1], EVENTS[-3], EVENTS[-2]]
        events = [{"at": moment, **event(aggregate, number)} for number, moment in enumerate(order)]
        if one_by_one:
            for given in events:
                ledger.record("a", metric, **given)
        else:
            ledger.batch([{"subject": "a", "metric": metric, **given} for given in events])
        assert_every_window_is_exact(ledger, aggregate, metric, MARKS)


@pytest.mark.at_length
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_stripes_have_open_buckets_of_their_own(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str
) -> None:
    """One has the latest minute open, one an hour of another day, one a month before, as row 0 has."""
    metrics = define_all(ledger, aggregate)
    writers = [ledger, new_ledger("first"), new_ledger("second"), new_ledger("third")]
    parts = [EVENTS[:2], EVENTS[5:], EVENTS[1:5], EVENTS[:1]]
    for striped in (False, True):
        define_all(ledger, aggregate, striped=striped)
        for metric in metrics:
            for number, (writer, part) in enumerate(zip(writers, parts, strict=True)):
                if (number > 0) is striped:
                    for step, moment in enumerate(part):
                        writer.record("a", metric, at=moment, **event(aggregate, number + step))
    for metric in metrics:
        found = ledger.row(
            "SELECT count(*) AS rows, count(DISTINCT coarse_start || ' ' || fine_start) AS open"
            " FROM meter.series WHERE metric = %s",
            [metric],
        )
        assert found.rows == 4
        assert found.open > 1 or metric.startswith("never")
        assert_every_window_is_exact(ledger, aggregate, metric, MARKS)
    define_all(ledger, aggregate, striped=False)
    for metric in metrics:
        ledger.record("a", metric, at=at("2026-06-18 14:40"), **event(aggregate, 5))
        assert_every_window_is_exact(ledger, aggregate, metric, MARKS)
        for moment in ("2026-05-31", "2026-06-18 14:30", "2026-06-20", "2026-08-01"):
            quota = ledger.call("check_quota", subject="a", metric=metric, quota=1000, now=at(moment))[0]
            total = ledger.usage("a", metric, now=at(moment))
            assert (quota.used, quota.since, quota.until) == (total.quantity, total.since, total.until)


@pytest.mark.at_length
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_events_ahead_of_the_clock_are_in_every_window_that_has_them(
    ledger: Ledger, aggregate: str, striped: bool
) -> None:
    now = datetime.now(UTC)
    moments = [
        now + delta
        for delta in (
            timedelta(days=-40),
            timedelta(hours=3),
            timedelta(hours=-5),
            timedelta(minutes=2),
            timedelta(0),
            timedelta(hours=3, seconds=1),
            timedelta(days=35),
            timedelta(seconds=-20),
        )
    ]
    marks = sorted(
        {m for moment in moments for m in (moment, moment + INSTANT, moment.replace(second=0, microsecond=0))}
    )
    kinds = some_kinds(aggregate, striped)
    for metric in define_all(ledger, aggregate, kinds, striped=striped, max_future="60 days"):
        for number, moment in enumerate(moments):
            ledger.record("a", metric, at=moment, **event(aggregate, number))
        assert ledger.value("SELECT max(ahead_at) FROM meter.series WHERE metric = %s", [metric]) == (
            None if metric.startswith("never") else max(moments)
        )
        assert_every_window_is_exact(ledger, aggregate, metric, marks)
        for moment in moments:
            quota = ledger.call("check_quota", subject="a", metric=metric, quota=1000, now=moment)[0]
            assert quota.used == ledger.usage("a", metric, now=moment).quantity
        assert [e.at for e in ledger.call("events", subject="a", metric=metric)] == sorted(
            moments, reverse=True
        )
    assert ledger.call("subjects") == [("a", max(moments))]


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_series_by_the_minute_is_read_from_minutes(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate, rollup="minute")
    for number, moment in enumerate(EVENTS):
        ledger.record("a", "m", at=moment, **event(aggregate, number))
    for since, until in (
        (at("2026-06-18 13:59"), at("2026-06-18 14:33")),
        (at("2026-06-18 13:59:59.5"), at("2026-06-18 14:30:15")),
    ):
        buckets = ledger.call("series", subject="a", metric="m", since=since, until=until, step="minute")
        windows: list[Any] = [(b.bucket_start, b.bucket_end) for b in buckets]
        assert windows[0][0] == since
        assert windows[-1][1] == until
        assert [(b.quantity or 0, b.event_count) for b in buckets] == ledger.brute_each("a", "m", windows)
    # Whole minutes do not need the log.
    ledger.execute("SET session_replication_role = replica")
    ledger.execute("ALTER TABLE meter.events DISABLE TRIGGER ALL")
    ledger.execute("ALTER TABLE meter.events_default DISABLE TRIGGER ALL")
    whole = ledger.call(
        "series",
        subject="a",
        metric="m",
        since=at("2026-06-18 13:59"),
        until=until.replace(second=0),
        step="minute",
    )
    ledger.execute("DELETE FROM meter.events")
    assert whole == ledger.call(
        "series",
        subject="a",
        metric="m",
        since=at("2026-06-18 13:59"),
        until=until.replace(second=0),
        step="minute",
    )


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_quota_is_of_the_current_period_whichever_is_open(ledger: Ledger, aggregate: str) -> None:
    for metric in define_all(ledger, aggregate):
        assert ledger.call("check_quota", subject="a", metric=metric, quota=5)[0].used == 0
        for number, moment in enumerate(EVENTS):
            ledger.record("a", metric, at=moment, **event(aggregate, number))
        for retired in (False, True):
            if retired:
                ledger.call("retire_metric", key=metric)
            for mark in MARKS:
                quota = ledger.call("check_quota", subject="a", metric=metric, quota=5, now=mark)[0]
                total = ledger.usage("a", metric, now=mark)
                assert (quota.used, quota.unit, quota.since, quota.until) == (
                    total.quantity,
                    total.unit,
                    total.since,
                    total.until,
                ), (metric, mark)

"""usage(): the events in a window, whole or cut, by every aggregate, whatever rollups there are."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Ledger, at, at_length, covering, refused

ADDITIVE = ("sum", "count", "unique")
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def four_midnights(ledger: Ledger) -> Ledger:
    ledger.define("m", "sum", "token")
    for i in range(4):
        ledger.record("a", "m", 2**i, at=at("2026-06-01") + timedelta(days=i))
    return ledger


def test_of_four_midnights_the_second_to_the_fourth_are_two_events(four_midnights: Ledger) -> None:
    total = four_midnights.usage("a", "m", since=at("2026-06-02"), until=at("2026-06-04"))
    assert total == ("m", 6, "token", "sum", 2, at("2026-06-02"), at("2026-06-04"), True)


def test_p5_the_event_on_since_counts_and_on_until_does_not(four_midnights: Ledger) -> None:
    second = at("2026-06-02")
    assert four_midnights.usage("a", "m", since=second, until=second + INSTANT).quantity == 2
    assert four_midnights.usage("a", "m", since=second - INSTANT, until=second).event_count == 0
    assert four_midnights.usage("a", "m", since=second + INSTANT, until=at("2026-06-03")).event_count == 0


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_no_usage_is_zero(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate, "token")
    given = {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    ledger.record("a", "m", at=at("2026-06-18"), **given)
    empty = {"since": at("2026-06-19"), "until": at("2026-06-20")}
    assert ledger.usage("a", "m", **empty)[1:5] == (0, "token", aggregate, 0)
    assert ledger.usage("nobody", "m", period="never")[1:5] == (0, "token", aggregate, 0)
    assert ledger.usage("nobody", "m")[1:5] == (0, "token", aggregate, 0)


def test_without_a_window_it_is_the_metrics_current_period(ledger: Ledger) -> None:
    for period in PERIODS:
        ledger.define(period, "sum", period=period)
        ledger.record("a", period, 1, at=at("2026-06-18 14:30:45"))
        ledger.record("a", period, 2, at=at("2024-06-18 14:30:45"))
        total = ledger.usage("a", period, now=at("2026-06-18 14:30:10"))
        assert total.quantity == (3 if period == "never" else 1)
        if period != "never":
            assert (total.since, total.until) == ledger.window(period=period, now=at("2026-06-18 14:30:10"))


def test_p5_local_months_add_up_to_everything(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    start = at("2026-01-01")
    ledger.batch(
        [
            {"subject": "a", "metric": "m", "quantity": 1, "at": start + timedelta(hours=i)}
            for i in range(24 * 120)
        ]
    )
    for zone in ("America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"):
        months = [
            ledger.usage("a", "m", period="month", timezone=zone, now=at(f"{year}-{month:02}-15"))
            for year, month in ((2025, 12), (2026, 1), (2026, 2), (2026, 3), (2026, 4), (2026, 5))
        ]
        assert [m.since for m in months[1:]] == [m.until for m in months[:-1]]
        assert sum(m.quantity for m in months) == 24 * 120


def test_p8_an_unknown_metric_and_a_bad_subject_are_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for function, extra in (
        ("usage", {}),
        ("check_quota", {"quota": 1}),
        ("usage_by", {"dimension": "x"}),
        ("series", {"since": at("2026-06-18"), "until": at("2026-06-19")}),
    ):
        with refused("UM001", "metric"):
            ledger.call(function, subject="a", metric="nope", **extra)
        with refused("22004", "metric"):
            ledger.call(function, subject="a", metric=None, **extra)
        with refused("22004", "subject"):
            ledger.call(function, subject=None, metric="m", **extra)
        with refused("22023", "subject"):
            ledger.call(function, subject=" \t", metric="m", **extra)
    for function in ("summary", "events"):
        with refused("22004", "subject"):
            ledger.call(function, subject=None)
        with refused("22023", "subject"):
            ledger.call(function, subject="\n")


def fill(ledger: Ledger, draw: random.Random, metric: str, aggregate: str) -> None:
    """Some 60 events around bucket boundaries of every size, in no order."""
    anchors = (
        "2025-12-31 23:59",
        "2026-01-05",
        "2026-02-28 23:30",
        "2026-03-01",
        "2026-03-01 05:59:30",
        "2026-03-02",
        "2027-01-01",
    )
    events: list[dict[str, Any]] = []
    for i in range(60):
        base = at(draw.choice(anchors[:-1]))
        moment = draw.choice(
            [
                base,
                base - INSTANT,
                base + timedelta(seconds=draw.randrange(-7200, 7200)),
                base + timedelta(days=draw.randrange(-3, 3)),
                base + timedelta(hours=draw.randrange(-30, 30), microseconds=draw.randrange(10**6)),
            ]
        )
        event: dict[str, Any] = {"subject": draw.choice(["a", "a", "b"]), "metric": metric, "at": moment}
        if aggregate == "unique":
            event["member"] = f"u{draw.randrange(9)}"
        else:
            low = 0 if aggregate in ("sum", "count") else -50
            event["quantity"] = Decimal(draw.randrange(low * 100, 10_000)).scaleb(-draw.randrange(3))
        events.append(event)
        if i % 7 == 0:
            events.append(dict(event))
    ledger.batch(events)


@pytest.mark.at_length
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_p5_any_window_equals_the_log_for_every_period_and_rollup(ledger: Ledger, aggregate: str) -> None:
    draw = random.Random(aggregate)
    query = """
        SELECT w.since, w.until, u.quantity, u.event_count,
               CASE WHEN b.events = 0 THEN 0 ELSE b.value END AS expected, b.events
        FROM unnest(%(since)s::timestamptz[], %(until)s::timestamptz[]) w (since, until),
             LATERAL meter.usage('a', %(metric)s, since => w.since, until => w.until) u,
             LATERAL (
                SELECT count(*) AS events, {expression} AS value FROM meter.logged_events e
                WHERE e.subject = 'a' AND e.metric = %(metric)s
                  AND (w.since IS NULL OR e.at >= w.since) AND (w.until IS NULL OR e.at < w.until)
             ) b
    """.format(
        expression={
            "count": "sum(quantity)",
            "sum": "sum(quantity)",
            "avg": "sum(quantity) / count(*)",
            "min": "min(quantity)",
            "max": "max(quantity)",
            "unique": "count(DISTINCT member)",
            "last": "(array_agg(quantity ORDER BY at DESC, event_id DESC))[1]",
        }[aggregate]
    )
    for of, period, rollup in covering(2, AGGREGATES, PERIODS, ROLLUPS):
        if of == aggregate:
            metric = f"{period} {rollup}"
            ledger.define(metric, aggregate, period=period, rollup=rollup)
            fill(ledger, draw, metric, aggregate)
            times = [
                row.at
                for row in ledger.rows(
                    "SELECT DISTINCT at FROM meter.logged_events WHERE metric = %s", [metric]
                )
            ]
            edges = [
                at(t)
                for t in (
                    "1960-01-01",
                    "1970-01-01",
                    "2026-01-01",
                    "2026-02-01",
                    "2026-03-01",
                    "2026-03-01 06:00",
                    "2027-01-01",
                    "2030-06-01",
                )
            ]
            windows: list[tuple[Any, Any]] = [(t, None) for t in edges] + [(None, t) for t in edges]
            for _ in range(at_length(25, 70)):
                choice = [
                    *draw.sample(times, 2),
                    draw.choice(times) + INSTANT,
                    *draw.sample(edges, 2),
                    at("2025-12-20") + timedelta(seconds=draw.randrange(90 * 86400)),
                    at("2025-12-20") + timedelta(hours=draw.randrange(90 * 24)),
                ]
                since, until = sorted(draw.sample(choice, 2))
                if since < until:
                    windows.append((since, until))
            with ledger.connection.cursor() as cursor:
                rows = cursor.execute(
                    query,
                    {"metric": metric, "since": [w[0] for w in windows], "until": [w[1] for w in windows]},
                ).fetchall()
            wrong = [row for row in rows if (row[2], row[3]) != (row[4], row[5])]
            assert not wrong, (metric, wrong[:3])
    assert ledger.verify() == []


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_p5_series_tile_the_window_and_equal_usage_of_each_bucket(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate, period="week")
    fill(ledger, random.Random(7), "m", aggregate)
    since, until = at("2025-12-30 13:07:11.5"), at("2026-03-03 02:00")
    for zone in ("UTC", "America/New_York", "Asia/Kathmandu"):
        for step in ("day", "week", "month", "year", "7 days", "36h", "1 month"):
            buckets = ledger.call(
                "series", subject="a", metric="m", since=since, until=until, step=step, timezone=zone
            )
            assert buckets[0].bucket_start == since
            assert buckets[-1].bucket_end == until
            assert [b.bucket_start for b in buckets[1:]] == [b.bucket_end for b in buckets[:-1]]
            for bucket in buckets:
                whole = ledger.brute("a", "m", bucket.bucket_start, bucket.bucket_end)
                assert (bucket.quantity or 0, bucket.event_count) == whole
                assert bucket.has_data is (bucket.event_count > 0)
                assert (bucket.quantity is None) is (not bucket.has_data and aggregate not in ADDITIVE)
            total = ledger.usage("a", "m", since=since, until=until)
            assert sum(b.event_count for b in buckets) == total.event_count
            if aggregate in ("sum", "count"):
                assert sum(b.quantity for b in buckets) == total.quantity

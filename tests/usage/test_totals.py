"""totals(): what usage() answers, for all subjects at once, page by page."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import AGGREGATES, Ledger, at, examples, refused

# Period and rollup by which the two kinds of bucket are finer, coarser, the same, and whole months.
KINDS = (
    ("month", "hour"),
    ("day", "none"),
    ("hour", "day"),
    ("week", "day"),
    ("never", "none"),
    ("minute", "hour"),
)
SUBJECTS = ("Zoe", "anna", "a b", "Émile", "émile", "_x", "zoe", "ß")
MOMENTS = [
    at(base) + offset
    for base in ("2025-12-31 23:00", "2026-01-01", "2026-03-01 00:30", "2026-03-02", "2026-03-08 07:00")
    for offset in (timedelta(0), timedelta(microseconds=-1), timedelta(seconds=30), timedelta(hours=5))
]
EDGES = [*MOMENTS, at("2026-02-01"), at("2026-03-01 05:00"), at("2026-03-01 05:30"), None]


def pages(ledger: Ledger, metric: str, max_rows: int = 3, **window: Any) -> list[Any]:
    """All rows of all pages."""
    found: list[Any] = []
    given: dict[str, Any] = {}
    while page := ledger.call("totals", metric=metric, max_rows=max_rows, **window, **given):
        found += page
        assert len(page) <= max_rows
        given = {"after_subject": page[-1].subject}
    return found


def assert_equals_usage(ledger: Ledger, metric: str, **window: Any) -> None:
    expected = []
    for subject in sorted(SUBJECTS, key=str.encode):
        total = ledger.usage(subject, metric, **window)
        if total.has_data:
            expected.append((subject, total.quantity, total.event_count))
    assert [tuple(row) for row in ledger.call("totals", metric=metric, **window)] == expected
    assert [tuple(row) for row in pages(ledger, metric, **window)] == expected


@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_every_page_has_what_usage_answers_for_each_subject(ledger: Ledger, striped: bool) -> None:
    """Every aggregate, every kind of bucket, windows with and without edges within a bucket."""
    metrics = []
    for aggregate in AGGREGATES:
        for number, (period, rollup) in enumerate(KINDS):
            key = f"{aggregate}{number}"
            ledger.define(key, aggregate, period=period, rollup=rollup, striped=striped)
            metrics.append((key, aggregate))
    for number, (period, rollup) in enumerate(KINDS):
        ledger.define(f"carry{number}", "last", period=period, rollup=rollup, striped=striped, carry=True)
        metrics.append((f"carry{number}", "last"))
    draw = random.Random(11)
    for _ in range(4):
        batch = []
        for key, aggregate in metrics:
            for _ in range(6):
                event = {"subject": draw.choice(SUBJECTS), "metric": key, "at": draw.choice(MOMENTS)}
                if aggregate == "unique":
                    event["member"] = draw.choice("uvwx")
                else:
                    event["quantity"] = draw.randrange(9)
                batch.append(event)
        ledger.batch(batch)
        ledger.maintain()

    @examples(40)
    @given(
        st.sampled_from([key for key, _ in metrics]),
        st.tuples(st.sampled_from(EDGES), st.sampled_from(EDGES)).filter(
            lambda w: w != (None, None) and (None in w or w[0] < w[1])  # type: ignore[operator]
        ),
    )
    def check(metric: str, window: tuple[datetime | None, datetime | None]) -> None:
        assert_equals_usage(ledger, metric, since=window[0], until=window[1])

    check()
    for metric, _ in metrics:
        assert_equals_usage(ledger, metric, period="month", now=at("2026-03-15"))
    for metric, _ in metrics[::3]:
        assert_equals_usage(ledger, metric, period="never")
        assert_equals_usage(ledger, metric, period="month", timezone="Asia/Kolkata", now=at("2026-03-15"))
        assert_equals_usage(ledger, metric, now=at("2026-03-08 07:00"))


def test_a_carried_value_is_in_the_window_until_the_metric_is_retired(ledger: Ledger) -> None:
    ledger.define("seats", "last", carry=True)
    ledger.define("plain", "last")
    for metric in ("seats", "plain"):
        ledger.record("a", metric, 8, at=at("2026-05-20"))
        ledger.record("b", metric, 3, at=at("2026-06-20"))
        ledger.record("c", metric, 4, at=at("2026-07-20"))
    june: dict[str, Any] = {"since": at("2026-06-01"), "until": at("2026-07-01")}
    assert ledger.call("totals", metric="seats", **june) == [("a", 8, 0), ("b", 3, 1)]
    assert ledger.call("totals", metric="plain", **june) == [("b", 3, 1)]
    assert ledger.call("totals", metric="seats", **june, max_rows=1, after_subject="a") == [("b", 3, 1)]
    ledger.execute("UPDATE meter.metrics SET retired_at = '2026-05-25Z' WHERE key = 'seats'")
    assert ledger.call("totals", metric="seats", **june) == [("b", 3, 1)]


def test_no_usage_is_no_row(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("n", "sum")
    assert ledger.call("totals", metric="m") == []
    ledger.record("a", "n", 1)
    assert ledger.call("totals", metric="m", period="never") == []
    ledger.record("a", "m", 0)
    assert ledger.call("totals", metric="m", period="never") == [("a", 0, 1)]
    assert ledger.call("totals", metric="m", period="never", after_subject="a") == []


def test_bad_questions_are_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    with refused("UM001", "metric"):
        ledger.call("totals", metric="nope")
    with refused("22004", "metric"):
        ledger.call("totals", metric=None)
    with refused("22023", "until"):
        ledger.call("totals", metric="m", since=at("2026-06-18"), until=at("2026-06-18"))
    with refused("22023", "period"):
        ledger.call("totals", metric="m", period="fortnight")
    with refused("22023", "period"):
        ledger.call("totals", metric="m", period="day", since=at("2026-06-18"))
    for max_rows, code in ((0, "22023"), (10_001, "22023"), (None, "22004")):
        with refused(code, "max_rows"):
            ledger.call("totals", metric="m", max_rows=max_rows)


def test_edges_whose_events_were_dropped_are_refused_whatever_the_page(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for subject, moment in (("a", "2024-01-15 10:15"), ("b", "2024-01-15 12:15"), ("z", "2026-06-18 12:30")):
        ledger.record(subject, "m", 1, at=at(moment))
    ledger.maintain()
    ledger.maintain(keep="13 months")
    everything = [("a", 1, 1), ("b", 1, 1), ("z", 1, 1)]
    assert ledger.call("totals", metric="m", since=at("2024-01-15 10:00")) == everything
    assert ledger.call("totals", metric="m", since=at("2024-01-15 11:30")) == everything[1:]
    for since, until in (
        ("2024-01-15 10:10", None),
        ("2024-01-15 10:10", "2024-01-15 10:20"),
        ("2024-01-01", "2024-01-15 12:20"),
    ):
        window: dict[str, Any] = {"since": at(since), "until": until and at(until)}
        for after_subject in (None, "y"):
            with refused("UM006"):
                ledger.call("totals", metric="m", **window, after_subject=after_subject)

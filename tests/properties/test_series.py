"""P5: every bucket of series() is what usage() says of it, and what the log adds up to.

Each example has a subject of its own in one database, so that hundreds of examples cost seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count, product
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Ledger, at, examples, refused

_examples = count(1)
_profile = examples(7)

# About how many seconds each step takes; the last ones are durations, counted from where the window starts.
STEPS = {
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "year": 365 * 86_400,
    "15m": 900,
    "1h 30m": 5_400,
    "36 hours": 36 * 3600,
    "1 month": 30 * 86_400,
}
BUCKETS_MAX = 30
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)

# Days on which clocks change, by an hour, half an hour or across midnight; one that never was; a month's end.
CHANGES = {
    "UTC": ("2026-03-01", "2026-01-01", "1970-01-01"),
    "America/New_York": ("2026-03-08 07:00", "2026-11-01 06:00", "2026-03-01 05:00", "1970-01-01 05:00"),
    "America/Havana": ("2026-11-01 05:00", "2026-03-08 05:00"),
    "Asia/Kolkata": ("2026-05-31 18:30", "1970-01-01"),
    "Asia/Kathmandu": ("2026-06-17 18:15",),
    "Australia/Lord_Howe": ("2026-04-04 15:00", "2026-10-03 15:30"),
    "Pacific/Apia": ("2011-12-30 10:00",),
}

ANSWERS = """
SELECT s.bucket_start, s.bucket_end, coalesce(s.quantity, 0) AS quantity, s.event_count,
    u.quantity AS used, u.event_count AS used_events
FROM meter.series(%(subject)s, %(metric)s, %(since)s, %(until)s, %(step)s, %(timezone)s) s
CROSS JOIN LATERAL meter.usage(%(subject)s, %(metric)s, since => s.bucket_start, until => s.bucket_end) u
"""


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    """A window near a change of clocks: cut anywhere, or from mark to mark."""
    timezone = draw(st.sampled_from(sorted(CHANGES)))
    step = draw(st.sampled_from(sorted(STEPS)))
    near = at(draw(st.sampled_from(CHANGES[timezone])))
    length = STEPS[step]
    before = draw(st.integers(0, BUCKETS_MAX - 10)) * length
    after = draw(st.integers(1, BUCKETS_MAX - 10)) * length
    since, until = near - timedelta(seconds=before), near + timedelta(seconds=after)
    cut = st.sampled_from([0, 0, 1, 900, 1800, 3600, 12 * 3600]).map(lambda s: timedelta(seconds=s))
    until += draw(cut)
    since -= draw(cut) + draw(st.sampled_from([timedelta(0), INSTANT]))
    return {"since": since, "until": until, "step": step, "timezone": timezone}


def events(draw: st.DrawFn, aggregate: str, edges: list[datetime]) -> list[dict[str, Any]]:
    """Up to 40 events at a few moments: on an edge of a bucket, and where its hour, day or month begins."""
    moments = []
    for edge in draw(st.lists(st.sampled_from(edges), min_size=1, max_size=10)):
        hour = edge.replace(minute=0, second=0, microsecond=0)
        mark = draw(st.sampled_from([edge, hour, hour.replace(hour=0), hour.replace(hour=0, day=1)]))
        mark += draw(st.sampled_from([0, 0, 0, 1, -1])) * draw(st.sampled_from([HOUR, 24 * HOUR]))
        moments.append(mark + draw(st.sampled_from([timedelta(0), timedelta(0), -INSTANT, HOUR / 4])))
    made = []
    for _ in range(draw(st.integers(0, 40))):
        payload: dict[str, Any] = (
            {"member": draw(st.sampled_from("uvwx"))}
            if aggregate == "unique"
            else {"quantity": draw(st.sampled_from(["0", "1", "2.50", "0.1", "7", "1e-20", "1e20"]))}
        )
        made.append({"at": max(draw(st.sampled_from(moments)), at("1970-01-01")), **payload})
    return made


def metric_of(aggregate: str, period: str, rollup: str) -> str:
    return f"{aggregate} by {period} and {rollup}"


@pytest.fixture
def metrics(ledger: Ledger) -> Ledger:
    """Every aggregate with every period and rollup."""
    for aggregate in AGGREGATES:
        for period in PERIODS:
            for rollup in ROLLUPS:
                ledger.define(
                    metric_of(aggregate, period, rollup),
                    aggregate,
                    period=period,
                    rollup=rollup,
                    striped=True,
                    max_future="100 years",
                )
    return ledger


def test_p5_every_bucket_is_what_usage_and_the_log_say(
    metrics: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    other = new_ledger("other", autocommit=False)

    def check(kind: tuple[str, str], data: st.DataObject, window: dict[str, Any]) -> None:
        aggregate = data.draw(st.sampled_from(AGGREGATES))
        metric = metric_of(aggregate, *kind)
        subject = f"s{next(_examples)}"
        question = {"subject": subject, "metric": metric, **window}
        buckets = metrics.call("series", **question)
        edges = [row.bucket_start for row in buckets] + [window["until"]]
        assert [row.bucket_end for row in buckets] == edges[1:]
        assert edges[0] == window["since"]
        named = [
            {"subject": subject, "metric": metric, **event} for event in events(data.draw, aggregate, edges)
        ]
        # What two sessions write at once is in several rows of a bucket. (What is new is waited for.)
        half = 1 if aggregate == "unique" else data.draw(st.integers(1, max(1, len(named))))
        metrics.batch(named[:1])
        other.batch(named[1:half])
        metrics.batch(named[half:])
        other.connection.commit()
        rows = metrics.rows(ANSWERS, question)
        assert [row[2:4] for row in rows] == [row[4:6] for row in rows]
        assert [row[2:4] for row in rows] == metrics.brute_each(subject, metric, [row[:2] for row in rows])

    # Examples of one run resemble each other, so every kind of metric has a run of its own.
    for number, kind in enumerate(product(PERIODS, ROLLUPS)):
        run = given(st.just(kind), st.data(), windows())(check)
        seed(number)(settings(_profile, derandomize=False)(run))()
    assert metrics.value("SELECT count(*) FROM meter.buckets WHERE stripe > 0") > 0
    assert metrics.verify() == []


def outcome(ask: Callable[[], Any]) -> Any:
    """The rows of an answer, or how it was refused."""
    try:
        return ask()
    except psycopg.Error as error:
        return (error.sqlstate, error.diag.message_detail, error.diag.message_hint)


def test_a_series_is_refused_where_one_of_its_buckets_is(ledger: Ledger) -> None:
    """Events in a month that was dropped: what needs them is refused by the first bucket that does."""
    kinds = [("month", "hour"), ("day", "none"), ("hour", "day"), ("never", "day"), ("week", "hour")]
    for period, rollup in kinds:
        for aggregate in ("sum", "unique"):
            metric = metric_of(aggregate, period, rollup)
            ledger.define(metric, aggregate, period=period, rollup=rollup)
            for day in ("2024-01-01 10:30", "2024-01-15 10:15", "2024-01-31 23:30", "2024-02-01 00:30"):
                payload = {"member": day} if aggregate == "unique" else {"quantity": 1}
                ledger.record("a", metric, at=at(day), **payload)
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2024_01")
    seen = set()

    @settings(_profile, max_examples=150)
    @given(
        st.sampled_from(kinds),
        st.sampled_from(["sum", "unique"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["hour", "day", "15m", "36 hours", "week"]),
        st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
        st.sampled_from(
            [
                *("2023-12-29 10:15", "2024-01-15 09:00", "2024-01-15 10:10"),
                *("2024-01-31 20:00", "2024-02-01 00:15"),
            ]
        ),
        st.integers(1, 20),
    )
    @example(("month", "hour"), "sum", "a", "36 hours", "UTC", "2023-12-29 10:15", 20)
    def check(
        kind: tuple[str, str], aggregate: str, subject: str, step: str, zone: str, day: str, quarters: int
    ) -> None:
        metric = metric_of(aggregate, *kind)
        since, until = at(day), at(day) + quarters * timedelta(seconds=STEPS[step] / 4)
        buckets = ledger.rows(
            "SELECT * FROM meter._series_buckets(%s, %s, %s, %s)", [since, until, step, zone]
        )
        one_by_one: Any = []
        for start, end in buckets:
            answer = outcome(lambda s=start, e=end: ledger.usage(subject, metric, since=s, until=e))
            if answer[0] == "UM006":
                one_by_one = answer
                break
            one_by_one.append((start, end, answer.quantity, answer.event_count, answer.has_data))
        at_once = outcome(
            lambda: ledger.call(
                "series", subject=subject, metric=metric, since=since, until=until, step=step, timezone=zone
            )
        )
        assert at_once == one_by_one
        seen.add(at_once[0] == "UM006")

    check()
    assert seen == {True, False}


@pytest.mark.parametrize("aggregate", ["sum", "unique"])
def test_a_series_is_not_read_from_a_snapshot_older_than_a_move_of_strays(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str
) -> None:
    ledger.define("m", aggregate)
    for day in ("2026-06-18 10:15", "2026-06-18 12:30"):
        payload = {"member": day} if aggregate == "unique" else {"quantity": 1}
        ledger.record("a", "m", at=at(day), **payload)
    reader = new_ledger("reader", autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.call("catalog")
    ledger.maintain()

    def series(since: datetime, until: datetime, step: str) -> list[Any]:
        return reader.call("series", subject="a", metric="m", since=since, until=until, step=step)

    whole = series(at("2026-06-18 10:00"), at("2026-06-18 13:00"), "hour")
    assert [row.quantity for row in whole] == [1, 0, 1]
    for since, until, step in (
        ("2026-06-18 10:00", "2026-06-18 13:00", "15m"),
        ("2026-06-18 10:10", "2026-06-18 13:00", "hour"),
        ("2026-06-18 10:00", "2026-06-18 12:40", "hour"),
    ):
        reader.execute("SAVEPOINT before")
        with refused("40001"):
            series(at(since), at(until), step)
        reader.execute("ROLLBACK TO before")

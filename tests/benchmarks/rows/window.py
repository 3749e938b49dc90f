"""usage() of a rolling window of 30 days against the same sum over the log by its index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, calls, connected, short
from tests.benchmarks.harness import Row, Side, Target

USAGE: LiteralString = "SELECT * FROM meter.usage(%s, %s, '30 days', now => %s)"
_LOG: LiteralString = (
    "SELECT sum(quantity), count(*) FROM meter.events WHERE series_id = %s AND at > %s AND at <= %s"
)
_DAYS = 30
_TARGET = Target("<=", 1.5)


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    now = seed.recent()
    since = now - _DAYS * seed.DAY
    with bench.database() as dsn, connected(dsn) as connection:
        events, most = scale.window_events, scale.window_events_max
        seed.define(connection, "tokens")
        seed.partitions(connection, since, now)
        _fill(connection, "tokens", events, now)
        yield Row(
            name=f"30-day window, {short(events)} events",
            unit="ms",
            ours=_usage(bench, connection, "tokens", events, now),
            baseline=Side(
                "sum over the log by index",
                calls(
                    connection,
                    _LOG,
                    [seed.series_id(connection, "tokens", _subject(events)), since, now],
                    scale.seconds,
                ),
            ),
            target=Target(">=", 50),
            note="Rolling, both ends between hour marks.",
        )
        _fill(connection, "tokens", events // 10, now)
        yield _growth(bench, connection, "tokens", events // 10, events, now, _TARGET)
        yield from _others(bench, connection, now)
        if most is not None:
            _fill(connection, "tokens", most, now)
            yield _growth(bench, connection, "tokens", events, most, now)
            # By month, a window would add up 43,200 minutes; so it adds up hours, and minutes at its ends.
            seed.define(connection, "by_minute", period="hour", rollup="minute")
            _fill(connection, "by_minute", events, now)
            _fill(connection, "by_minute", most, now)
            yield _growth(bench, connection, "by_minute", events, most, now, _TARGET)


def _growth(
    bench: Bench,
    connection: psycopg.Connection[Any],
    metric: str,
    few: int,
    many: int,
    now: datetime,
    target: Target | None = None,
) -> Row:
    buckets = "hours and minutes" if metric == "by_minute" else "months and hours"
    return Row(
        name=f"30-day window, {short(many)} events beside {short(few)}, {buckets}",
        unit="ms",
        ours=_usage(bench, connection, metric, many, now),
        baseline=_usage(bench, connection, metric, few, now),
        target=target,
        note="The same window over fewer events.",
    )


def _subject(events: int) -> str:
    return f"{events}_0"


def _fill(connection: psycopg.Connection[Any], metric: str, events: int, now: datetime) -> None:
    """A subject that has these `events` in the window."""
    since, prefix = now - _DAYS * seed.DAY, _subject(events)[:-1]
    seed.log(connection, metric, events=events, since=since, until=now, prefix=prefix, metadata=True)
    seed.settle(connection, metric)


def _usage(
    bench: Bench, connection: psycopg.Connection[Any], metric: str, events: int, now: datetime
) -> Side:
    name = f"usage() of {short(events)} events"
    return Side(name, calls(connection, USAGE, [_subject(events), metric, now], bench.scale.seconds))


def _others(bench: Bench, connection: psycopg.Connection[Any], now: datetime) -> Iterator[Row]:
    """The other questions about the same events, for information."""
    since, subject = now - _DAYS * seed.DAY, _subject(bench.scale.window_events)
    questions: dict[str, tuple[LiteralString, list[Any]]] = {
        "usage, this month in New York": (
            "SELECT * FROM meter.usage(%s, 'tokens', 'month', timezone => 'America/New_York', now => %s)",
            [now],
        ),
        "usage, this month": ("SELECT * FROM meter.usage(%s, 'tokens', now => %s)", [now]),
        "summary, 30 days": ("SELECT * FROM meter.summary(%s, '30 days', now => %s)", [now]),
        "series, 30 days by day": ("SELECT * FROM meter.series(%s, 'tokens', %s, %s)", [since, now]),
        "series, 30 days by hour": ("SELECT * FROM meter.series(%s, 'tokens', %s, %s, 'hour')", [since, now]),
        "check_quota, 30 days": (
            "SELECT * FROM meter.check_quota(%s, 'tokens', 1, period => '30 days', now => %s)",
            [now],
        ),
        "usage_by, 30 days (reads the log)": (
            "SELECT * FROM meter.usage_by(%s, 'tokens', 'model', '30 days', now => %s)",
            [now],
        ),
        "events, a page of 100": ("SELECT * FROM meter.events(%s, 'tokens')", []),
    }
    for name, (statement, parameters) in questions.items():
        yield Row(
            name=f"{name}, {short(bench.scale.window_events)} events",
            unit="ms",
            ours=Side("", calls(connection, statement, [subject, *parameters], bench.scale.seconds / 4)),
            note="For information.",
            rounds=1,
        )

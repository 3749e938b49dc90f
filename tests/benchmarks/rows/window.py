"""usage() of a rolling window of 30 days against the same sum over the log by its index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, calls, connected, short
from tests.benchmarks.harness import Row, Side, Target

USAGE: LiteralString = "SELECT * FROM meter.usage(%s, 'tokens', '30 days', now => %s)"
_LOG: LiteralString = (
    "SELECT sum(quantity), count(*) FROM meter.events"
    " WHERE subject = %s AND metric = 'tokens' AND at > %s AND at <= %s"
)
_DAYS = 30


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    now = seed.recent()
    with bench.database() as dsn, connected(dsn) as connection:
        events = scale.window_events
        _fill(connection, "acct_", events, now)
        yield Row(
            name=f"30-day window, {short(events)} events",
            unit="ms",
            ours=_usage(bench, connection, "usage()", "acct_0", now),
            baseline=Side(
                "sum over the log by index",
                calls(connection, _LOG, ["acct_0", now - _DAYS * seed.DAY, now], scale.seconds),
            ),
            target=Target(">=", 50),
            note="Rolling, both ends between hour marks.",
        )
        few, many = events // 10, events
        few_prefix, many_prefix = "few_", "acct_"
        if scale.window_events_max is not None:
            few, many = events, scale.window_events_max
            few_prefix, many_prefix = "acct_", "many_"
        _fill(connection, "few_" if many == events else "many_", few if many == events else many, now)
        yield Row(
            name=f"30-day window, {short(many)} events and a tenth",
            unit="ms",
            ours=_usage(bench, connection, f"{short(many)} events", f"{many_prefix}0", now),
            baseline=_usage(bench, connection, f"{short(few)} events", f"{few_prefix}0", now),
            target=Target("<=", 1.5),
            note="The same window over ten times as many events.",
        )
        yield from _others(bench, connection, now)


def _fill(connection: psycopg.Connection[Any], prefix: str, events: int, now: datetime) -> None:
    since = now - _DAYS * seed.DAY
    seed.define(connection, "tokens")
    seed.partitions(connection, since, now)
    seed.log(connection, "tokens", events=events, since=since, until=now, prefix=prefix, metadata=True)
    seed.settle(connection, "tokens")


def _usage(bench: Bench, connection: psycopg.Connection[Any], name: str, subject: str, now: datetime) -> Side:
    return Side(name, calls(connection, USAGE, [subject, now], bench.scale.seconds))


def _others(bench: Bench, connection: psycopg.Connection[Any], now: datetime) -> Iterator[Row]:
    """The other questions about the same events, for information."""
    since = now - _DAYS * seed.DAY
    questions: dict[str, tuple[LiteralString, list[Any]]] = {
        "usage, this month in New York": (
            "SELECT * FROM meter.usage("
            "'acct_0', 'tokens', 'month', timezone => 'America/New_York', now => %s)",
            [now],
        ),
        "usage, this month": ("SELECT * FROM meter.usage('acct_0', 'tokens', now => %s)", [now]),
        "summary, 30 days": ("SELECT * FROM meter.summary('acct_0', '30 days', now => %s)", [now]),
        "series, 30 days by day": ("SELECT * FROM meter.series('acct_0', 'tokens', %s, %s)", [since, now]),
        "series, 30 days by hour": (
            "SELECT * FROM meter.series('acct_0', 'tokens', %s, %s, 'hour')",
            [since, now],
        ),
        "check_quota, 30 days": (
            "SELECT * FROM meter.check_quota('acct_0', 'tokens', 1, period => '30 days', now => %s)",
            [now],
        ),
        "usage_by, 30 days (reads the log)": (
            "SELECT * FROM meter.usage_by('acct_0', 'tokens', 'model', '30 days', now => %s)",
            [now],
        ),
        "events, a page of 100": ("SELECT * FROM meter.events('acct_0', 'tokens')", []),
        "subjects, 100": ("SELECT * FROM meter.subjects()", []),
    }
    for name, (statement, parameters) in questions.items():
        yield Row(
            name=f"{name}, {short(bench.scale.window_events)} events",
            unit="ms",
            ours=Side("", calls(connection, statement, parameters, bench.scale.seconds / 4)),
            note="For information.",
            rounds=1,
        )

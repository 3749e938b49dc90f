"""Reads as of a watermark against a scan of what was recorded after it, and what a watermark costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, calls, connected, short
from tests.benchmarks.harness import Row, Sample, Side, Target

_DAYS = 30
_LATE = 1_000
AGGREGATES = ("sum", "sum", "sum", "sum", "count", "avg", "max", "min", "last", "unique")
_AS_OF: LiteralString = "SELECT * FROM meter.usage('acct_0', 'tokens', since => %s, until => %s, as_of => %s)"
_NOW: LiteralString = "SELECT * FROM meter.usage('acct_0', 'tokens', since => %s, until => %s)"
_AFTER: LiteralString = "SELECT sum(quantity), count(*) FROM meter.events WHERE recorded_at > %s"
_DRAW: LiteralString = "SELECT meter.watermark('acct_drawn')"
_RECORD: LiteralString = "SELECT * FROM meter.record('acct_drawn', 'tokens', 3)"


def rows(bench: Bench) -> Iterator[Row]:
    events, seconds = bench.scale.window_events, bench.scale.seconds
    until = seed.recent()
    since = until - _DAYS * seed.DAY
    with bench.database() as dsn, connected(dsn) as connection:
        seed.define(connection, "tokens")
        seed.partitions(connection, since, until)
        seed.log(connection, "tokens", events=events, since=since, until=until, metadata=True)
        seed.settle(connection, "tokens")
        (drawn,) = connection.execute("SELECT meter.watermark('acct_0')").fetchone() or (None,)
        _record_late(connection)
        for late in (_LATE, 10 * _LATE):
            yield Row(
                name=f"as of a watermark, {short(late)} of {short(events)} events later",
                unit="ms",
                ours=Side("usage(as_of)", calls(connection, _AS_OF, [since, until, drawn], seconds)),
                baseline=Side("a scan of what came after", calls(connection, _AFTER, [drawn], seconds)),
                target=Target("<=", 3) if late > _LATE else None,
                note="A sum of 30 days, both ends between hour marks: that of now less what came after.",
            )
            for _ in range(9 if late == _LATE else 0):
                _record_late(connection)
        yield Row(
            name="as of a watermark, against now",
            unit="ms",
            ours=Side("usage(as_of)", calls(connection, _AS_OF, [since, until, drawn], seconds)),
            baseline=Side("usage()", calls(connection, _NOW, [since, until], seconds)),
            note=f"For information: {short(10 * _LATE)} events were recorded after the watermark.",
        )
        for number in range(9):
            seed.define(connection, f"metric_{number}")
        connection.execute(_RECORD)
        yield Row(
            name="watermark, 11 metrics",
            unit="ms",
            ours=Side("watermark()", calls(connection, _DRAW, [], seconds)),
            baseline=Side("record()", calls(connection, _RECORD, [], seconds)),
            note="For information. Its locks are of every series of the subject.",
        )
    with bench.database() as dsn, connected(dsn) as connection:
        subjects = subjects_of(bench)
        record_subjects(connection, subjects, bench.scale.rounds)
        close_first(connection, subjects)
        yield Row(
            name="close_due, subjects (10 metrics, 100 events of each)",
            unit="calls/s",
            ours=Side("close_due()", lambda: close_next(connection, subjects)),
            least=500,
            note="Compared with the log, stated and hashed; 100 subjects a call.",
        )


def subjects_of(bench: Bench) -> int:
    """How many subjects are closed in one call."""
    return max(5, min(100, bench.scale.window_events // 10_000))


def record_subjects(connection: psycopg.Connection[object], subjects: int, rounds: int) -> None:
    """Months of usage, one for the first statements and another one for each round."""
    for number, aggregate in enumerate(AGGREGATES):
        connection.execute("SELECT meter.define_metric(%s, %s, 'unit')", [f"metric_{number}", aggregate])
        for month in range(1, min(rounds, 9) + 2):
            connection.execute(
                "SELECT count(*) FROM meter.record_batch(("
                " SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object("
                "  'subject', 'acct_' || s, 'metric', %(metric)s::text,"
                "  'at', to_char(make_date(2026, %(month)s, 1) + (n * 7 + s %% 7) * interval '1 hour',"
                '                \'YYYY-MM-DD"T"HH24:MI:SS"Z"\'),'
                "  'quantity', CASE WHEN %(aggregate)s <> 'unique' THEN n END,"
                "  'member', CASE WHEN %(aggregate)s = 'unique' THEN 'm' || n END)))"
                " FROM generate_series(1, %(subjects)s) s, generate_series(0, 99) n))",
                {"metric": f"metric_{number}", "aggregate": aggregate, "month": month, "subjects": subjects},
            )


def close_first(connection: psycopg.Connection[object], subjects: int) -> None:
    """The first statement of each subject, after which the next month follows."""
    connection.execute("VACUUM ANALYZE")
    _close(connection, 1, subjects)


def close_next(connection: psycopg.Connection[object], subjects: int) -> Sample:
    """Close the next month of each subject: subjects a second."""
    (month,) = connection.execute(
        "SELECT extract(month FROM max(until))::int FROM meter.statements()"
    ).fetchone() or (0,)
    start = time.perf_counter()
    _close(connection, month, subjects)
    return Sample(subjects / (time.perf_counter() - start), [])


def _close(connection: psycopg.Connection[object], month: int, subjects: int) -> None:
    """A call of close_due() ends after a second; all are closed after a few."""
    while subjects > 0:
        (closed,) = connection.execute(
            "SELECT count(*) FROM meter.close_due(make_date(2026, %s, 2), %s) WHERE outcome = 'closed'",
            [month % 12 + 1, subjects],
        ).fetchone() or (0,)
        assert closed > 0, month
        subjects -= closed


def _record_late(connection: psycopg.Connection[object]) -> None:
    connection.execute(
        "SELECT count(*) FROM meter.record_batch(("
        " SELECT jsonb_agg(jsonb_build_object('subject', 'acct_0', 'metric', 'tokens', 'quantity', 1,"
        "  'at', to_char(now() - n * interval '41 minutes', 'YYYY-MM-DD\"T\"HH24:MI:SS.MSOF')))"
        " FROM generate_series(3, %s) n))",
        [_LATE + 2],
    )

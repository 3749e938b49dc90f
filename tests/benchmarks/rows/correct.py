"""What corrections cost: each against a record() of the same metric, by pgbench with one client."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import psycopg

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.harness import Row, Sample, Side, Target
from tests.benchmarks.pgbench import pgbench

_RECORD = """
\\set k random(1, 1000000000000000000)
SELECT * FROM meter.record('acct', '{metric}', {value}, idempotency_key => 'req_' || :k);
"""
_VOID = """
SELECT * FROM meter.void_event(
    'acct', '{metric}', idempotency_key => 'void_' || nextval('voids_{metric}'), reason => 'load test');
"""
_AMEND = """
SELECT * FROM meter.amend_event(
    'acct', '{metric}', idempotency_key => 'amend_' || nextval('amends_{metric}'), quantity => 2,
    reason => 'load test');
"""
_ADJUST = "SELECT * FROM meter.adjust('acct', '{metric}', -1, reason => 'goodwill');"
_VOIDS = {"sum": 3.0, "count": 3.0, "avg": 3.0, "max": 3.0, "last": 3.0, "unique": None}


def rows(bench: Bench) -> Iterator[Row]:
    calls = bench.scale.first_calls // 4
    with bench.database() as dsn:
        with connected(dsn) as connection:
            _prepare(connection, events=8 * calls)

        def side(metric: str, script: str) -> Side:
            value = "member => 'm' || :k" if metric == "unique" else "3"

            def run() -> Sample:
                text = script.format(metric=metric, value=value)
                latencies = pgbench(dsn, text, clients=1, calls=calls).latencies
                return Sample(statistics.median(latencies) * 1000, latencies)

            return Side(metric, run)

        for metric, most in _VOIDS.items():
            yield Row(
                name=f"void_event, {metric}",
                unit="ms",
                ours=side(metric, _VOID),
                baseline=side(metric, _RECORD),
                target=None if most is None else Target("<=", most),
                note="By key, of the open hour; mostly not its greatest or last value.",
            )
        for name, script in (("amend_event", _AMEND), ("adjust", _ADJUST)):
            yield Row(
                name=f"{name}, sum",
                unit="ms",
                ours=side("sum", script),
                baseline=side("sum", _RECORD),
                note="For information.",
            )


def _prepare(connection: psycopg.Connection[object], events: int) -> None:
    for metric in _VOIDS:
        connection.execute("SELECT meter.define_metric(%s, %s, 'unit')", [metric, metric])
        for what in ("void", "amend"):
            connection.execute(f"CREATE SEQUENCE {what}s_{metric}".encode())
            connection.execute(
                "SELECT count(*) FROM meter.record_batch(("
                " SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object("
                "  'subject', 'acct', 'metric', %(metric)s::text, 'idempotency_key', %(what)s || '_' || n,"
                "  'at', to_char(date_trunc('hour', now()) + n * interval '1 ms',"
                "                'YYYY-MM-DD\"T\"HH24:MI:SS.MSOF'),"
                "  'quantity', CASE WHEN %(metric)s <> 'unique' THEN n * 7919 %% 1000 + 1 END,"
                "  'member', CASE WHEN %(metric)s = 'unique' THEN 'm' || n END)))"
                " FROM generate_series(1, %(events)s) n))",
                {
                    "metric": metric,
                    "what": what,
                    "events": events if what == "void" or metric == "sum" else 1,
                },
            )
    connection.execute("VACUUM ANALYZE")

"""What limits cost: events of a limited metric against those of the same metric without a limit.

By pgbench with one client, each call for one subject whose hour is open; far below the quota, and at it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import psycopg

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.harness import Row, Sample, Side, Target
from tests.benchmarks.pgbench import pgbench

_SCRIPT = """
\\set k random(1, 1000000000000000000)
SELECT * FROM meter.record('acct', '{metric}', 3, idempotency_key => 'req_' || :k{more});
"""
_RESERVED = """
\\set k random(1, 1000000000000000000)
SELECT reservation_id AS held
FROM meter.reserve('acct', '{metric}', 10, idempotency_key => 'held_' || :k) \\gset
SELECT * FROM meter.settle(:held, 7);
"""
_METRICS = {
    "plain": [],
    "own": [None],
    "two": [None, "day"],
    "three": [None, "day", "hour"],
    "trailing": ["30 days"],
    "cycle": ["cycle"],
}
_ROWS = (
    ("one limit on the metric's own period", "own", "plain", 1.25),
    ("two limits", "two", "own", 1.25),
    ("three limits", "three", "two", 1.25),
    ("a trailing limit of 30 days", "trailing", "plain", 3.0),
    ("a limit on the billing cycle", "cycle", "plain", 3.0),
)


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn:
        with connected(dsn) as connection:
            _define(connection)

        def side(metric: str, more: str = "", script_of: str = _SCRIPT) -> Side:
            def run() -> Sample:
                script = script_of.format(metric=metric, more=more)
                latencies = pgbench(dsn, script, clients=1, calls=bench.scale.first_calls).latencies
                return Sample(statistics.median(latencies) * 1000, latencies)

            return Side(metric, run)

        for name, ours, baseline, most in _ROWS:
            yield Row(
                name=f"record, {name}",
                unit="ms",
                ours=side(ours),
                baseline=side(baseline),
                target=Target("<=", most),
                note="One subject, one client, far from the quota.",
            )
        for metric in ("own", "plain"):
            yield Row(
                name=f"reserve and settle, {'one limit' if metric == 'own' else 'without a limit'}",
                unit="ms",
                ours=side(metric, script_of=_RESERVED),
                baseline=side(metric),
                target=Target("<=", 2.5),
                note="Two calls, against one record() of the same metric.",
            )
        yield from _balances(dsn)
        for name, more in (("refused", ""), ("beyond the quota, with overflow", ", overflow => true")):
            yield Row(
                name=f"record, {name}",
                unit="ms",
                ours=side("full", more),
                baseline=side("plain"),
                note="For information. The quota is used up.",
            )


def _balances(dsn: str) -> Iterator[Row]:
    """20 top-ups, which begin and expire within 12 months that are all beyond the quota."""

    def side(call: str) -> Side:
        def run() -> Sample:
            latencies = pgbench(dsn, f"SELECT * FROM meter.{call};", clients=1, calls=500).latencies
            return Sample(statistics.median(latencies) * 1000, latencies)

        return Side(call.partition("(")[0], run)

    yield Row(
        name="balance, 20 top-ups over 12 months",
        unit="ms",
        ours=side("balance('acct', 'topped')"),
        limit=5.0,
        note="Each month is beyond the quota, and is cut where top-ups begin and expire.",
    )


def _define(connection: psycopg.Connection[object]) -> None:
    for metric, periods in (_METRICS | {"full": []}).items():
        connection.execute("SELECT meter.define_metric(%s, 'sum', 'token')", [metric])
        for period in periods:
            connection.execute("SELECT meter.set_limit(%s, 1e12, period => %s)", [metric, period])
        connection.execute("SELECT meter.record('acct', %s, 1)", [metric])
    connection.execute("SELECT meter.set_limit('full', 1)")
    connection.execute("SELECT meter.define_metric('topped', 'sum', 'token')")
    connection.execute("SELECT meter.set_limit('topped', 100, since => '2020-01-01', marks => '{}')")
    connection.execute(
        "SELECT meter.top_up('acct', 'topped', 100, 'k' || n, since => first + n * interval '11 days 3 hours'"
        ", expires_at => CASE WHEN n % 2 = 0 THEN first + interval '13 months' END)"
        " FROM generate_series(0, 19) n, (SELECT date_trunc('month', now()) - interval '12 months') f (first)"
    )
    connection.execute(
        "SELECT meter.record('acct', 'topped', 40, at => month + n * interval '4 days 1 hour')"
        " FROM generate_series(0, 4) n, generate_series(date_trunc('month', now()) - interval '12 months',"
        " date_trunc('month', now()) - interval '1 month', interval '1 month') month"
    )

"""What prices cost: one price, an invoice, and closing periods with them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from tests.benchmarks.bench import Bench, calls, connected
from tests.benchmarks.harness import Row, Sample, Side
from tests.benchmarks.rows.close import AGGREGATES, close_first, close_next, record_subjects, subjects_of

_TIERS = [
    {"up_to": str(n * 100) if n < 10 else None, "unit_amount": f"0.{20 - n:04}", "flat_amount": "1"}
    for n in range(1, 11)
]
_PRICE = {"model": "graduated", "tiers": _TIERS}
_METRICS = 20
_EVENTS = 300

_RATED: LiteralString = "SELECT sum(r.amount) FROM quantities, priced, meter.rate(document, quantity) r"
_COMPILED: LiteralString = "SELECT sum(meter._price_amount(compiled, quantity)) FROM quantities, priced"
# A price of its own for this one model: the same sum from a table of tiers.
_BY_HAND: LiteralString = """
SELECT sum(a.amount)
FROM quantities, LATERAL (
    SELECT sum((least(quantity, up_to) - above) * unit_amount + flat_amount) AS amount
    FROM tiers WHERE above < quantity OR above = 0
) a
"""
_INVOICE: LiteralString = "SELECT * FROM meter.invoice('acct_1', '2026-06-01', '2026-07-01')"
_SUMMARY: LiteralString = (
    "SELECT * FROM meter.summary('acct_1', since => '2026-06-01', until => '2026-07-01')"
)
_TEN_PRICES: tuple[dict[str, Any], ...] = (
    {"model": "graduated", "tiers": _TIERS},
    {"model": "volume", "tiers": _TIERS},
    {"model": "package", "package_size": 1000, "unit_amount": "2"},
    {"model": "unit", "unit_amount": "0.002", "free_units": 100, "discount_percent": 10},
    {"model": "unit", "unit_amount": "0.05", "minimum_amount": 5, "maximum_amount": 50},
    {"model": "unit", "unit_amount": "0.1"},
    {"model": "unit", "unit_amount": "5"},
    {"model": "unit", "unit_amount": "1"},
    {"model": "graduated", "tiers": _TIERS},
    {"model": "package", "package_size": 10, "unit_amount": "3"},
)
"""By the number of the metric: four sums, a count, avg, max, min, last and unique."""


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn, connected(dsn) as connection:
        yield from _prices(connection, 20_000 if bench.scale.seconds >= 0.5 else 500)
    with bench.database() as dsn, connected(dsn) as connection:
        _define_metrics(connection)
        yield Row(
            name=f"invoice, {_METRICS} metrics of 10 tiers, and a fee",
            unit="ms",
            ours=Side("invoice()", calls(connection, _INVOICE, [], bench.scale.seconds)),
            baseline=Side("summary()", calls(connection, _SUMMARY, [], bench.scale.seconds)),
            limit=10,
            note="Against the same totals without prices. "
            f"A month of {_EVENTS} events of each metric; every tier has a line.",
        )
    yield from _closing(subjects_of(bench), bench)


def _prices(connection: psycopg.Connection[Any], quantities: int) -> Iterator[Row]:
    """How many prices one core computes in one statement."""
    for setting in ("max_parallel_workers_per_gather = 0", "enable_memoize = off", "jit = off"):
        connection.execute(f"SET {setting}".encode())
    connection.execute(
        "CREATE TEMP TABLE priced AS SELECT document, meter._compile_price(document) AS compiled"
        " FROM (SELECT %s::jsonb AS document) d",
        [json.dumps(_PRICE)],
    )
    connection.execute(
        "CREATE TEMP TABLE quantities AS SELECT n * 7919 %% 1500 + n * 1e-6 AS quantity"
        " FROM generate_series(1, %s) n",
        [quantities],
    )
    connection.execute(
        "CREATE TEMP TABLE tiers AS SELECT coalesce(lag(up_to) OVER (ORDER BY up_to), 0) AS above, t.*"
        " FROM jsonb_to_recordset(%s) t (up_to numeric, unit_amount numeric, flat_amount numeric)",
        [Jsonb(_TIERS)],
    )
    connection.execute("ANALYZE")
    asked = (_RATED, _COMPILED, _BY_HAND)
    sums = {(connection.execute(one).fetchone() or (None,))[0] for one in asked}
    assert len(sums) == 1, sums

    def side(name: str, statement: LiteralString) -> Side:
        def run() -> Sample:
            begin = time.perf_counter()
            connection.execute(statement)
            return Sample(quantities / (time.perf_counter() - begin))

        return Side(name, run)

    for name, ours, least in (
        ("rate, 10 tiers from a JSON document", side("rate()", _RATED), 10_000),
        ("rate, 10 tiers, compiled before", side("_price_amount()", _COMPILED), 40_000),
    ):
        yield Row(
            name=name,
            unit="calls/s",
            ours=ours,
            baseline=side("a table of tiers", _BY_HAND),
            least=least,
            note=f"{quantities:,} quantities in one statement, on one core; against a sum over the rows of a"
            " table of tiers, which knows this model only, checks nothing and explains nothing.",
        )


def _define_metrics(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT meter.define_plan('pro')")
    connection.execute("SELECT meter.subscribe('acct_1', 'pro', since => '2026-01-01')")
    _define_fee(connection)
    for number in range(_METRICS):
        metric = f"metric_{number:02}"
        connection.execute("SELECT meter.define_metric(%s, 'sum', 'token')", [metric])
        _define_price(connection, metric, _PRICE)
        connection.execute(
            "SELECT count(*) FROM meter.record_batch(("
            " SELECT jsonb_agg(jsonb_build_object('subject', 'acct_1', 'metric', %s::text, 'quantity', 4,"
            "  'at', to_char('2026-06-01'::date + n * interval '2 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))"
            " FROM generate_series(1, %s) n))",
            [metric, _EVENTS],
        )
    connection.execute("VACUUM ANALYZE")


def _closing(subjects: int, bench: Bench) -> Iterator[Row]:
    """The same usage twice: of subjects with a plan, and without."""
    with (
        bench.database() as dsn,
        connected(dsn) as connection,
        bench.database() as bare_dsn,
        connected(bare_dsn) as bare,
    ):
        for one in (connection, bare):
            record_subjects(one, subjects, bench.scale.rounds)
        connection.execute("SELECT meter.define_plan('pro')")
        _define_fee(connection)
        for number, price in enumerate(_TEN_PRICES):
            _define_price(connection, f"metric_{number}", price)
        for subject in range(1, subjects + 1):
            connection.execute(
                "SELECT meter.subscribe(%s, 'pro', since => '2026-01-01')", [f"acct_{subject}"]
            )
        for one in (connection, bare):
            close_first(one, subjects)
        yield Row(
            name=f"close_due with prices, subjects ({len(AGGREGATES)} metrics, 100 events of each)",
            unit="calls/s",
            ours=Side("close_due()", lambda: close_next(connection, subjects)),
            baseline=Side("without a plan", lambda: close_next(bare, subjects)),
            least=200,
            note="Graduated, volume, package and unit prices, and a fee; against the same without prices.",
        )


def _define_fee(connection: psycopg.Connection[Any]) -> None:
    connection.execute("""SELECT meter.define_price('pro', 'base', '{"model": "flat", "flat_amount": 20}')""")


def _define_price(connection: psycopg.Connection[Any], metric: str, price: dict[str, Any]) -> None:
    connection.execute(
        "SELECT meter.define_price('pro', %s, %s, metric => %s)", [metric, Jsonb(price), metric]
    )

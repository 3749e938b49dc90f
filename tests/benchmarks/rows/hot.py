"""One hot subject: every caller adds to the same total, and holds what it wrote until its commit is on disk.

Once on a database with statistics, and once on one that was never analyzed: the plans have to be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.clients import Fleet, Load, OneEach, Way
from tests.benchmarks.harness import Row, Side, Target
from tests.benchmarks.home_made import home_made
from tests.benchmarks.ready import OpenHour
from tests.benchmarks.seed import define

_TARGETS = {True: Target(">=", 0.75), False: Target(">=", 0.9)}
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'meter'::regnamespace AND relkind = 'r' ORDER BY 1"
)


def rows(bench: Bench) -> Iterator[Row]:
    yield from _striped(bench, analyzed=True)
    yield from _striped(bench, analyzed=False)


def _striped(bench: Bench, *, analyzed: bool) -> Iterator[Row]:
    scale = bench.scale
    with bench.database() as dsn:
        with connected(dsn) as connection:
            define(connection, "striped", striped=True)
            define(connection, "plain")
            if not analyzed:
                _leave_alone(connection)
        with Fleet(dsn, scale.hot_clients) as fleet:
            # Each client writes to a stripe of its own, so each of them opens its hour of every subject.
            ready = OpenHour(
                dsn,
                scale,
                "striped",
                lambda: fleet.record(OneEach("striped", scale.subjects)),
                analyze=analyzed,
            )

            def side(
                name: str,
                subjects: int = 1,
                *,
                way: Way = "ours",
                metric: str = "striped",
                total: bool = True,
            ) -> Side:
                load = Load(way, metric, subjects, scale.seconds, total)
                return Side(name, lambda: fleet.run(load), ready)

            name = f"record, one hot subject, {scale.hot_clients} clients"
            suffix = "" if analyzed else ", never analyzed"
            for total, target in _TARGETS.items():
                yield Row(
                    name=name + ("" if total else ", total => false") + suffix,
                    unit="calls/s",
                    ours=side("hot subject, striped", total=total),
                    baseline=side(f"spread over {scale.subjects:,} subjects", scale.subjects, total=total),
                    target=target,
                    note="Striped metric, loopback; the same calls on both sides.",
                )
            if analyzed:
                home_made(dsn, scale)
                yield Row(
                    name=f"{name}, against four statements",
                    unit="calls/s",
                    ours=side("hot subject, striped"),
                    baseline=side("four statements on that hot row", way="four_statements", metric="tokens"),
                    note="For information. Striped metric, loopback.",
                )
                yield Row(
                    name=f"{name}, not striped",
                    unit="calls/s",
                    ours=side("hot subject, not striped", metric="plain"),
                    baseline=side("hot subject, striped"),
                    note="For information: what striping is for. Against the striped metric.",
                )


def _leave_alone(connection: psycopg.Connection[Any]) -> None:
    """Keep autovacuum, which analyzes, away from the meter's tables."""
    for (name,) in connection.execute(_TABLES).fetchall():
        connection.execute(
            sql.SQL("ALTER TABLE meter.{} SET (autovacuum_enabled = off)").format(sql.Identifier(name))
        )

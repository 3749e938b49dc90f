"""One hot subject: every caller wants the same rows, and each holds them until its commit is on disk."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.clients import HOME_MADE, Fleet, Load, Way
from tests.benchmarks.harness import Row, Side, Target
from tests.benchmarks.seed import define


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    with bench.database() as dsn:
        with connected(dsn) as connection:
            define(connection, "striped", striped=True)
            define(connection, "plain")
            connection.execute(HOME_MADE)
        with Fleet(dsn, scale.hot_clients) as fleet:

            def side(name: str, way: Way, metric: str, subjects: int) -> Side:
                load = Load(way, metric, subjects, scale.seconds)
                return Side(name, lambda: fleet.run(load))

            hot = side("hot subject, striped", "ours", "striped", 1)
            name = f"record, one hot subject, {scale.hot_clients} clients"
            yield Row(
                name=name,
                unit="calls/s",
                ours=hot,
                baseline=side(f"spread over {scale.subjects:,} subjects", "ours", "striped", scale.subjects),
                target=Target(">=", 0.9),
                note="Striped metric, loopback.",
            )
            yield Row(
                name=f"{name}, against four statements",
                unit="calls/s",
                ours=hot,
                baseline=side("four statements on that hot row", "four_statements", "hot", 1),
                target=Target(">=", 4),
                note="Striped metric, loopback.",
            )
            yield Row(
                name=f"{name}, not striped",
                unit="calls/s",
                ours=side("hot subject, not striped", "ours", "plain", 1),
                baseline=hot,
                note="For information: what striping is for. Against the striped metric.",
            )

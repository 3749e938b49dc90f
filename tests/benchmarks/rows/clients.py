"""record() from an application, against the four-statement way: same driver, same kind of connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from tests.benchmarks.bench import Bench, calls, connected
from tests.benchmarks.clients import HOME_MADE, Fleet, Load
from tests.benchmarks.delay import delayed
from tests.benchmarks.harness import Row, Side, Target
from tests.benchmarks.seed import define

_ROUND_TRIP_SECONDS = 0.0005
_NETWORKS = {
    "loopback": (0.0, Target(">=", 2.2)),
    "0.5 ms round trip": (_ROUND_TRIP_SECONDS, Target(">=", 3.5)),
}


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn:
        with connected(dsn) as connection:
            define(connection, "tokens")
            connection.execute(HOME_MADE)
        for network, (delay, target) in _NETWORKS.items():
            for clients in bench.scale.clients:
                # The proxy works too: 10 to 20 us of processor time for every message that it carries.
                with (
                    delayed(dsn, delay) if delay else nullcontext(dsn) as path,
                    Fleet(path, clients) as fleet,
                ):
                    round_trip = _round_trip(path)
                    yield Row(
                        name=f"record, {clients} client{'s' * (clients > 1)}, {network}",
                        unit="calls/s",
                        ours=_side(bench, fleet, "ours"),
                        baseline=_side(bench, fleet, "four_statements"),
                        target=target,
                        note="Against BEGIN, INSERT, UPSERT, COMMIT on a home-made log and totals"
                        f" (no partitions, no hour rollup). SELECT 1 takes {round_trip:.2f} ms.",
                    )


def _round_trip(dsn: str) -> float:
    """What the emptiest call takes on this path, in ms."""
    with connected(dsn) as connection:
        return calls(connection, "SELECT 1", [], 0.1)().value


def _side(bench: Bench, fleet: Fleet, way: str) -> Side:
    load = Load(
        "ours" if way == "ours" else "four_statements", "tokens", bench.scale.subjects, bench.scale.seconds
    )
    return Side("Meter.record" if way == "ours" else "four statements", lambda: fleet.run(load))

"""record() from an application, against the four-statement way: same driver, same kind of connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from tests.benchmarks.bench import Bench, calls, connected
from tests.benchmarks.clients import Fleet, Load, Way
from tests.benchmarks.delay import delayed
from tests.benchmarks.harness import Row, Side, Target
from tests.benchmarks.home_made import home_made
from tests.benchmarks.ready import OpenHour

_ROUND_TRIP_SECONDS = 0.0005
_NETWORKS = {
    "loopback": (0.0, {1: Target(">=", 2), 8: Target(">=", 1.5), 16: Target(">=", 1.5)}),
    "0.5 ms round trip": (_ROUND_TRIP_SECONDS, {1: Target(">=", 3)}),
}


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn:
        ready = home_made(dsn, bench.scale)
        for network, (delay, targets) in _NETWORKS.items():
            for clients in bench.scale.clients:
                # The proxy works too: 10 to 20 us of processor time for every message that it carries.
                with (
                    delayed(dsn, delay) if delay else nullcontext(dsn) as path,
                    Fleet(path, clients) as fleet,
                ):
                    round_trip = _round_trip(path)
                    yield Row(
                        name=f"record, psycopg, {clients} client{'s' * (clients > 1)}, {network}",
                        unit="calls/s",
                        ours=_side(bench, fleet, ready, "ours"),
                        baseline=_side(bench, fleet, ready, "four_statements"),
                        target=targets.get(clients),
                        note="Against BEGIN, INSERT, UPSERT, COMMIT on a home-made log and totals"
                        f" (no partitions, no hour rollup). SELECT 1 takes {round_trip:.2f} ms.",
                    )


def _round_trip(dsn: str) -> float:
    """What the emptiest call takes on this path, in ms."""
    with connected(dsn) as connection:
        return calls(connection, "SELECT 1", [], 0.1)().value


def _side(bench: Bench, fleet: Fleet, ready: OpenHour, way: Way) -> Side:
    load = Load(way, "tokens", bench.scale.subjects, bench.scale.seconds)
    return Side("Meter.record" if way == "ours" else "four statements", lambda: fleet.run(load), ready)

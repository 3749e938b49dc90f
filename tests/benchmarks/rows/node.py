"""record() from Node, against the four-statement way: one process, node-postgres, the same pool.

The other way is how @prsm/meter records, written by hand: BEGIN, INSERT, UPSERT, COMMIT on a client of the
pool.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Row, Side, Target
from tests.benchmarks.home_made import home_made
from tests.benchmarks.node import NotInstalled, Way, node

_TARGETS = {1: Target(">=", 2.2), 8: Target(">=", 1.9), 16: Target(">=", 2.2)}


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    with bench.database() as dsn:
        ready = home_made(dsn, scale)
        try:
            with node(dsn, max(scale.clients)) as process:

                def side(name: str, way: Way, callers: int) -> Side:
                    return Side(name, lambda: process.run(way, callers, scale.subjects, scale.seconds), ready)

                for callers in scale.clients:
                    yield Row(
                        name=f"record, node-postgres, {callers} caller{'s' * (callers > 1)}",
                        unit="calls/s",
                        ours=side("one statement", "ours", callers),
                        baseline=side("four statements", "four_statements", callers),
                        target=_TARGETS.get(callers),
                        note="One process, statements prepared; against BEGIN, INSERT, UPSERT, COMMIT on a"
                        " home-made log and totals, from the same pool.",
                    )
        except NotInstalled as error:
            print(f"node is left out: {error}", file=sys.stderr)

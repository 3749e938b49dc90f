"""Events that are not ordinary against those that are, by pgbench with one client: what a call takes.

Each call is for a subject of its own. An ordinary event finds its hour open; a late one is five hours older
than that; the first of an hour finds the hour before the last one open.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import count

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.harness import Row, Sample, Side, Target
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.ready import OpenHour, one_event_each
from tests.benchmarks.seed import define

_SCRIPT = """
\\set i :i + 1
\\set k random(1, 1000000000000000000)
SELECT * FROM meter.record('{prefix}' || :i, 'tokens', 3, idempotency_key => 'req_' || :k, at => {at});
"""
_LATE = "now() - interval '5 hours'"


def rows(bench: Bench) -> Iterator[Row]:
    calls, numbers = bench.scale.first_calls, count(1)
    with bench.database() as dsn:
        with connected(dsn) as connection:
            define(connection, "tokens")
        ready = OpenHour(dsn, bench.scale, "tokens")

        def side(name: str, *, hours_ago: int | None, at: str = "now()") -> Side:
            """So many events, each of a subject whose open hour is that long ago; None: it has none."""
            prefix = ""

            def prepare() -> None:
                nonlocal prefix
                ready()
                prefix = f"{name.replace(' ', '_')}_{next(numbers)}_"
                if hours_ago is not None:
                    with connected(dsn) as connection:
                        one_event_each(connection, "tokens", calls + 1, prefix, hours_ago)

            def run() -> Sample:
                script = _SCRIPT.format(prefix=prefix, at=at)
                latencies = pgbench(dsn, script, clients=1, calls=calls).latencies
                return Sample(statistics.median(latencies) * 1000, latencies)

            return Side(name, run, prepare)

        for name, event in (
            ("a late event", side("late", hours_ago=0, at=_LATE)),
            ("a new series", side("new", hours_ago=None)),
            ("the first event of an hour", side("first", hours_ago=2)),
        ):
            yield Row(
                name=f"record, {name}",
                unit="ms",
                ours=event,
                baseline=side("ordinary", hours_ago=0),
                target=Target("<=", 1.8),
                note=f"{calls:,} calls, each for a subject of its own, one client.",
            )

"""rebuild() against one GROUP BY scan of the same rows, with rollups that are right and with none at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, connected, once, short
from tests.benchmarks.harness import Row, Side, Target

_DAYS = 30
_EVENTS_EACH = 5_000
_REBUILD: LiteralString = "SELECT meter.rebuild()"
# Everything that is aggregated is used, or the planner would leave it out.
_SCAN: LiteralString = """
SELECT sum(event_count), sum(total), max(last_at)
FROM (
    SELECT series_id, date_trunc('hour', at, 'UTC'), count(*) AS event_count, sum(quantity) AS total,
           max(at) AS last_at
    FROM meter.events
    GROUP BY 1, 2
) AS hours
"""
# As after the loss of everything that is derived: nothing closed, and open buckets without events.
_EMPTY: LiteralString = """
TRUNCATE meter.rollups, meter.unique_members;
UPDATE meter.series SET
    version = version + 1, fine_count = 0, fine_total = 0, coarse_count = 0, coarse_total = 0,
    fine_last_at = '-infinity', coarse_last_at = '-infinity';
"""


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    events, subjects = scale.rebuild_events, max(1, scale.rebuild_events // _EVENTS_EACH)
    now = seed.recent()
    since = now - _DAYS * seed.DAY
    with bench.database() as dsn, connected(dsn) as connection:
        seed.define(connection, "tokens")
        seed.partitions(connection, since, now)
        seed.log(connection, "tokens", events=events, subjects=subjects, since=since, until=now)
        seed.settle(connection)
        scan = Side("one GROUP BY scan", once(connection, _SCAN))
        note = f"{subjects:,} subjects over {_DAYS} days; against one GROUP BY series and hour."
        yield Row(
            name=f"rebuild, {short(events)} events, intact rollups",
            unit="s",
            ours=Side("rebuild()", once(connection, _REBUILD)),
            baseline=scan,
            target=Target("<=", 1.3),
            note=note,
            rounds=scale.rebuild_rounds,
        )
        yield Row(
            name=f"rebuild, {short(events)} events, emptied rollups",
            unit="s",
            ours=Side(
                "rebuild()",
                once(connection, _REBUILD),
                prepare=lambda: _empty(connection),
            ),
            baseline=scan,
            target=Target("<=", 2),
            note=note + " Every bucket is written anew.",
            rounds=scale.rebuild_rounds,
        )


def _empty(connection: psycopg.Connection[Any]) -> None:
    connection.execute(_EMPTY)
    connection.execute("VACUUM (ANALYZE) meter.rollups")
    connection.execute("VACUUM (ANALYZE) meter.series")

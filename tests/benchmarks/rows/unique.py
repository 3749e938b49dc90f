"""Distinct members in a rolling window of 30 days against count(distinct) over the log by its index."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, calls, connected, short
from tests.benchmarks.harness import Row, Side, Target

_DAYS = 30
_TARGET_MEMBERS = 10_000


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    now = seed.recent()
    since = now - _DAYS * seed.DAY
    for members in scale.members:
        with bench.database() as dsn, connected(dsn) as connection:
            seed.define(connection, "users", "unique")
            seed.partitions(connection, since, now)
            seed.log(connection, "users", events=scale.unique_events, since=since, until=now, members=members)
            seed.settle(connection, "users")
            yield Row(
                name=f"unique members, 30 days, {short(members)} in {short(scale.unique_events)} events",
                unit="ms",
                ours=Side(
                    "usage()",
                    calls(
                        connection,
                        "SELECT * FROM meter.usage('acct_0', 'users', '30 days', now => %s)",
                        [now],
                        scale.seconds,
                    ),
                ),
                baseline=Side(
                    "count(distinct) over the log",
                    calls(
                        connection,
                        "SELECT count(DISTINCT member), count(*) FROM meter.events"
                        " WHERE series_id = %s AND at > %s AND at <= %s",
                        [seed.series_id(connection, "users", "acct_0"), since, now],
                        scale.seconds,
                    ),
                ),
                target=Target(">=", 50) if members == _TARGET_MEMBERS else None,
                note="Rolling, both ends between hour marks; members drawn at random.",
            )

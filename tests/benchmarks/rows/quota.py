"""check_quota() of the current period against pgbench reading that very row by its primary key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.harness import Row, Side, Target
from tests.benchmarks.pgbench import pgbench

_QUOTA = """
\\set s random(0, {subjects} - 1)
SELECT * FROM meter.check_quota('acct_' || :s, 'tokens', 1000000);
"""
_SELECT = """
\\set s random(0, {subjects} - 1)
SELECT coarse_total FROM meter.series WHERE metric = 'tokens' AND subject = 'acct_' || :s AND stripe = 0;
"""
_CLIENTS = (1, 8)
_EVENTS_EACH = 5


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with bench.database() as dsn:
        with connected(dsn) as connection:
            seed.define(connection, "tokens")
            seed.log(
                connection,
                "tokens",
                events=_EVENTS_EACH * scale.subjects,
                subjects=scale.subjects,
                since=month,
                until=now,
            )
            seed.settle(connection, "tokens")
        for clients in _CLIENTS[scale.name == "quick" :]:

            def side(name: str, script: str, clients: int = clients) -> Side:
                return Side(
                    name,
                    lambda: pgbench(
                        dsn, script.format(subjects=scale.subjects), clients=clients, seconds=scale.seconds
                    ),
                )

            yield Row(
                name=f"check_quota, pgbench, {clients} client{'s' * (clients > 1)}",
                unit="calls/s",
                ours=side("check_quota()", _QUOTA),
                baseline=side("SELECT by primary key", _SELECT),
                target=Target(">=", 0.65),
                note="The current period; against a SELECT of the row that it reads.",
            )

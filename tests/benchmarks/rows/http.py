"""POST /v1/events, against the same calls by psycopg: as many clients, each with a connection of its own.

The server is one process with its ten connections; its clients are processes that wait for each answer. All
of them, and PostgreSQL, share the machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.clients import Fleet, Load
from tests.benchmarks.harness import Row, Side
from tests.benchmarks.ready import OpenHour
from tests.benchmarks.seed import define
from tests.web.process import login, new_key, serving

_BATCH = 100


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn, tempfile.TemporaryDirectory() as files:
        with connected(dsn) as connection:
            define(connection, "tokens")
        ready = OpenHour(dsn, bench.scale, "tokens")
        with login(dsn) as login_dsn, serving(login_dsn, new_key(dsn), Path(files) / "log") as served:
            for events in (1, _BATCH):
                for clients in bench.scale.clients:
                    with Fleet(dsn, clients) as fleet:
                        yield _row(bench, fleet, ready, events, (served.port, served.key), clients)


def _row(
    bench: Bench, fleet: Fleet, ready: OpenHour, events: int, server: tuple[int, str], clients: int
) -> Row:
    def load(way: str) -> Load:
        seconds, subjects = bench.scale.seconds, bench.scale.subjects
        if way == "http":
            return Load("http", "tokens", subjects, seconds, events=events, server=server)
        return Load("ours", "tokens", subjects, seconds, events=events)

    one, many = "1 event", f"{events} events"
    function = "Meter.record" if events == 1 else "Meter.record_batch"
    return Row(
        name=f"POST /v1/events, {one if events == 1 else many}, {clients} client{'s' * (clients > 1)}",
        unit="calls/s",
        ours=Side("POST /v1/events", lambda: fleet.run(load("http")), ready),
        baseline=Side(f"{function}, psycopg", lambda: fleet.run(load("ours")), ready),
        note="A request is one transaction with authenticate(); against the same events by psycopg.",
    )

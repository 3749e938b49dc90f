"""The same work while the log grows: the rate of record(), a window, and subjects(). Only with --full.

The log is filled in bulk as its owner, keys included, over the last half year; rebuild() makes the rollups.
Each size is compared with the first, in turn: a second database stays at that.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, calls, connected, short
from tests.benchmarks.harness import Row, Sample, Side, Target, Unit
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.rows.statement import RECORD

_DAYS = 180
_CLIENTS = 8
_SUBJECTS_MAX = 2_000
_DISK_BYTES_PER_EVENT = 900  # tables, indexes, and the server's write-ahead log of making them
_WINDOW: LiteralString = "SELECT * FROM meter.usage('acct_1', 'tokens', '30 days', now => %s)"
_SUBJECTS: LiteralString = "SELECT * FROM meter.subjects()"


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    if not scale.growth_events:
        return
    first, *_, last = scale.growth_events
    with bench.database() as small, bench.database() as growing:
        logs = {dsn: _Log(dsn, min(_SUBJECTS_MAX, scale.subjects), scale.seconds) for dsn in (small, growing)}
        logs[small].grow(first)
        for events in scale.growth_events:
            logs[growing].grow(events)
            start, now = logs[small].questions(), logs[growing].questions()
            for name, (unit, ask, target) in now.items():
                yield Row(
                    name=f"{name}, log of {short(events)} events",
                    unit=unit,
                    ours=Side(f"at {short(events)}", ask),
                    baseline=Side(f"at {short(first)}", start[name][1]) if events > first else None,
                    target=target if events == last > first else None,
                    note=f"{logs[growing].subjects:,} subjects, {_DAYS} days, every event with a key.",
                )


class _Log:
    """A database whose log is filled up to a size."""

    def __init__(self, dsn: str, subjects: int, seconds: float) -> None:
        self.dsn, self.subjects, self.seconds = dsn, subjects, seconds
        self.until = seed.recent()
        self.since = self.until - _DAYS * seed.DAY
        self.events = 0
        with connected(dsn) as connection:
            seed.define(connection, "tokens")
            seed.partitions(connection, self.since, self.until)

    def grow(self, events: int) -> None:
        with connected(self.dsn) as connection:
            _check_disk(connection, events - self.events)
            seed.log(
                connection,
                "tokens",
                events=events - self.events,
                subjects=self.subjects,
                since=self.since,
                until=self.until,
                keys=True,
                first=self.events,
            )
            seed.settle(connection)
        self.events = events

    def questions(self) -> dict[str, tuple[Unit, Callable[[], Sample], Target | None]]:
        script = RECORD.replace("{subjects}", str(self.subjects))
        return {
            f"record, pgbench, {_CLIENTS} clients": (
                "calls/s",
                lambda: pgbench(self.dsn, script, clients=_CLIENTS, seconds=self.seconds),
                Target(">=", 0.85),
            ),
            "30-day window": ("ms", lambda: self._ask(_WINDOW, [self.until]), None),
            "subjects, 100": ("ms", lambda: self._ask(_SUBJECTS, []), None),
        }

    def _ask(self, query: LiteralString, parameters: list[Any]) -> Sample:
        with connected(self.dsn) as connection:
            return calls(connection, query, parameters, self.seconds / 2)()


def _check_disk(connection: psycopg.Connection[Any], events: int) -> None:
    """Stop before the disk is full, where the server's directory can be seen from here."""
    (name,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    needed = events * _DISK_BYTES_PER_EVENT
    if Path(name).is_dir() and shutil.disk_usage(name).free < needed:
        raise SystemExit(f"{short(events)} events need {needed / 1e9:.0f} GB of free disk")

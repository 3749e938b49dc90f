"""The same work while the log grows: the rate of record(), a window, and subjects(). Only with --full.

The log is filled in bulk as its owner, keys included, over the last half year; rebuild() makes the rollups.
Each step is compared with the first; what is measured an hour apart cannot take turns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import cycle
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
    now = seed.recent()
    since = now - _DAYS * seed.DAY
    subjects = min(_SUBJECTS_MAX, scale.subjects)
    script = RECORD.replace("{subjects}", str(subjects))
    start: dict[str, list[Sample]] = {}
    with bench.database() as dsn, connected(dsn) as connection:
        seed.define(connection, "tokens")
        seed.partitions(connection, since, now)

        def record() -> Sample:
            return pgbench(dsn, script, clients=_CLIENTS, seconds=scale.seconds)

        questions: dict[str, tuple[Unit, Callable[[], Sample], Target | None]] = {
            f"record, pgbench, {_CLIENTS} clients": ("calls/s", record, Target(">=", 0.85)),
            "30-day window": ("ms", calls(connection, _WINDOW, [now], scale.seconds / 2), None),
            "subjects, 100": ("ms", calls(connection, _SUBJECTS, [], scale.seconds / 2), None),
        }
        before = 0
        for events in scale.growth_events:
            _check_disk(connection, events - before)
            seed.log(
                connection,
                "tokens",
                events=events - before,
                subjects=subjects,
                since=since,
                until=now,
                keys=True,
                first=before,
            )
            seed.settle(connection)
            for name, (unit, run, target) in questions.items():
                ours, baseline = _keep(run, start.setdefault(name, [])), None
                if before:
                    ours = run
                    baseline = Side(f"at {short(scale.growth_events[0])}", cycle(start[name]).__next__)
                yield Row(
                    name=f"{name}, log of {short(events)} events",
                    unit=unit,
                    ours=Side(f"at {short(events)}", ours),
                    baseline=baseline,
                    target=target if events == scale.growth_events[-1] else None,
                    note=f"{subjects:,} subjects, {_DAYS} days, every event with a key.",
                )
            before = events


def _keep(run: Callable[[], Sample], kept: list[Sample]) -> Callable[[], Sample]:
    def run_and_keep() -> Sample:
        kept.append(run())
        return kept[-1]

    return run_and_keep


def _check_disk(connection: psycopg.Connection[Any], events: int) -> None:
    """Stop before the disk is full, where the server's directory can be seen from here."""
    (name,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    needed = events * _DISK_BYTES_PER_EVENT
    if Path(name).is_dir() and shutil.disk_usage(name).free < needed:
        raise SystemExit(f"{short(events)} events need {needed / 1e9:.0f} GB of free disk")

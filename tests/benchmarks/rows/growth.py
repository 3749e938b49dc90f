"""The same work while the log grows: the rate of record(), a window, and subjects(). Only with --full.

The log is filled in bulk as its owner over the last half year, keys included: those of the last two days in
keys, the others in old_keys, where maintain() has them by then. rebuild() makes the totals. Each size is
compared with the first, in turn: a second database stays at that.

A page goes to the write-ahead log whole when it first changes after a checkpoint. Keys are digests, so right
after one, nearly every event pays for a page of the index of recent keys. Warm is what comes after: once that
index has taken two new keys a page, about as few pay as do on average over the quarter of an hour from one
checkpoint to the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, calls, connected, short
from tests.benchmarks.harness import Row, Sample, Side, Target, Unit
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.ready import OpenHour
from tests.benchmarks.rows.statement import RECORD
from tests.benchmarks.server import checkpoint

_DAYS = 180
_CLIENTS = 8
_SUBJECTS_MAX = 2_000
_RECORD = f"record, pgbench, {_CLIENTS} clients"
_MINUTE_ROUNDS = 3
_DISK_BYTES_PER_EVENT = 800  # tables, indexes, and the server's write-ahead log of making them
_WINDOW: LiteralString = "SELECT * FROM meter.usage('acct_1', 'tokens', '30 days', now => %s)"
_KEY_PAGES: LiteralString = "SELECT relpages FROM pg_class WHERE oid = 'meter.keys_pkey'::regclass"
_SUBJECTS: LiteralString = "SELECT * FROM meter.subjects()"


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    if not scale.growth_events:
        return
    first, *_, last = scale.growth_events
    subjects = min(_SUBJECTS_MAX, scale.subjects)
    with bench.database() as first_dsn, bench.database() as second_dsn:
        small = _Log(first_dsn, bench, subjects)
        growing = _Log(second_dsn, bench, subjects)
        small.grow(first)
        for events in scale.growth_events:
            growing.grow(events)
            is_last = events == last > first
            yield _row(
                small,
                growing,
                f"{_RECORD}, from a checkpoint on for {scale.growth_seconds:g} s",
                "calls/s",
                lambda log: log.record(scale.growth_seconds),
                Target(">=", 0.6) if is_last else None,
                after_checkpoint=True,
            )
            for log in (small, growing):
                log.warm_up()
            yield _row(
                small, growing, _RECORD, "calls/s", _Log.record, Target(">=", 0.9) if is_last else None
            )
            yield _row(small, growing, "30-day window", "ms", _Log.ask_window)
            yield _row(small, growing, "subjects, 100", "ms", _Log.ask_subjects)


class _Log:
    """A database whose log is filled up to a size."""

    def __init__(self, dsn: str, bench: Bench, subjects: int) -> None:
        self.dsn, self.subjects, self.seconds = dsn, subjects, bench.scale.seconds
        self.ready = OpenHour(dsn, replace(bench.scale, subjects=subjects), "tokens")
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

    def warm_up(self) -> None:
        with connected(self.dsn) as connection:
            (pages,) = connection.execute(_KEY_PAGES).fetchone() or (0,)
        self.ready()
        recorded = 0
        while recorded < 2 * pages:
            recorded += len(self.record().latencies)

    def record(self, seconds: float | None = None) -> Sample:
        script = RECORD.replace("{subjects}", str(self.subjects))
        return pgbench(self.dsn, script, clients=_CLIENTS, seconds=(seconds or 2 * self.seconds) / 2)

    def ask_window(self) -> Sample:
        return self._ask(_WINDOW, [self.until])

    def ask_subjects(self) -> Sample:
        return self._ask(_SUBJECTS, [])

    def _ask(self, query: LiteralString, parameters: list[Any]) -> Sample:
        with connected(self.dsn) as connection:
            return calls(connection, query, parameters, self.seconds / 2)()


def _row(
    small: _Log,
    growing: _Log,
    name: str,
    unit: Unit,
    question: Callable[[_Log], Sample],
    target: Target | None = None,
    *,
    after_checkpoint: bool = False,
) -> Row:
    def side(log: _Log) -> Side:
        def prepare() -> None:
            if unit == "calls/s":
                log.ready()
            if after_checkpoint:
                checkpoint(log.dsn)

        return Side(f"at {short(log.events)}", lambda: question(log), prepare)

    return Row(
        name=f"{name}, log of {short(growing.events)} events",
        unit=unit,
        ours=side(growing),
        baseline=side(small) if growing.events > small.events else None,
        target=target,
        note=f"{growing.subjects:,} subjects, {_DAYS} days, every event with a key.",
        rounds=_MINUTE_ROUNDS if after_checkpoint else None,
    )


def _check_disk(connection: psycopg.Connection[Any], events: int) -> None:
    """Stop before the disk is full, where the server's directory can be seen from here."""
    (name,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    needed = events * _DISK_BYTES_PER_EVENT
    if Path(name).is_dir() and shutil.disk_usage(name).free < needed:
        raise SystemExit(f"{short(events)} events need {needed / 1e9:.0f} GB of free disk")

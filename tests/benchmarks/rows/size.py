"""What an event costs on disk: bytes in tables and indexes, and in the write-ahead log."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from json import dumps
from random import Random
from typing import Any, LiteralString

import psycopg

from tests.benchmarks import seed
from tests.benchmarks.bench import Bench, connected, short
from tests.benchmarks.harness import Row, Sample, Side
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.ready import OpenHour
from tests.benchmarks.rows.statement import RECORD, SAME_ROWS
from tests.benchmarks.server import checkpoint

_BYTES_MAX = 255
_SUBJECTS = 100
_EVENTS_AN_HOUR = 14  # of one subject: 10,000 a month
_BATCH = 1_000
_CLIENTS = 8

# Every table of the meter. The log is all of its partitions.
_SIZES: LiteralString = """
SELECT CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) THEN 'log' ELSE c.relname END
           || kind,
       sum(bytes)::bigint
FROM pg_class c
CROSS JOIN LATERAL (VALUES (', rows', pg_table_size(c.oid)), (', indexes', pg_indexes_size(c.oid)))
    AS sizes (kind, bytes)
WHERE c.relnamespace = 'meter'::regnamespace AND c.relkind = 'r'
GROUP BY 1 ORDER BY 1
"""


def rows(bench: Bench) -> Iterator[Row]:
    yield from _tables(bench)
    yield from _write_ahead_log(bench)


def _tables(bench: Bench) -> Iterator[Row]:
    """Keys are UUIDs. Events come in the order of time, subjects at random."""
    events = bench.scale.size_events
    with bench.database() as dsn, connected(dsn) as connection:
        seed.define(connection, "tokens")
        since = seed.recent() - timedelta(hours=events / _SUBJECTS / _EVENTS_AN_HOUR)
        seed.partitions(connection, since, seed.recent())
        empty = _sizes(connection)
        _record(connection, events, since)
        parts = {part: (size - empty.get(part, 0)) / events for part, size in _sizes(connection).items()}
        note = (
            f"{short(events)} events by record_batch, {_SUBJECTS} subjects, {_EVENTS_AN_HOUR} an hour each,"
            " sum by month and hour, keys are UUIDs."
        )
        yield _bytes("bytes an event, everything", sum(parts.values()), note, limit=_BYTES_MAX)
        for part, size in parts.items():
            if size >= 0.05:
                yield _bytes(f"bytes an event, {part}", size, "Part of the above.")


def _bytes(name: str, value: float, note: str, limit: float | None = None) -> Row:
    return Row(name, "bytes", Side("", lambda: Sample(value)), limit=limit, note=note, rounds=1)


def _sizes(connection: psycopg.Connection[Any]) -> dict[str, int]:
    return {part: int(size) for part, size in connection.execute(_SIZES)}


def _record(connection: psycopg.Connection[Any], events: int, since: Any) -> None:
    random = Random(1)
    step = timedelta(hours=1) / (_SUBJECTS * _EVENTS_AN_HOUR)
    for first in range(0, events, _BATCH):
        batch = [
            {
                "subject": f"acct_{random.randrange(_SUBJECTS)}",
                "metric": "tokens",
                "quantity": random.randrange(1, 1000),
                "idempotency_key": str(uuid.UUID(int=random.getrandbits(128), version=4)),
                "at": (since + number * step).isoformat(),
            }
            for number in range(first, min(first + _BATCH, events))
        ]
        connection.execute("SELECT count(*) FROM meter.record_batch(%s::jsonb)", [dumps(batch)], prepare=True)


def _write_ahead_log(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    with bench.database() as dsn, connected(dsn) as connection:
        seed.define(connection, "tokens")
        ready = OpenHour(dsn, scale, "tokens")

        def side(name: str, script: str, *, after_checkpoint: bool) -> Side:
            text = script.replace("{subjects}", str(scale.subjects))

            def run() -> Sample:
                events, position = _progress(connection)
                pgbench(dsn, text, clients=_CLIENTS, seconds=scale.seconds)
                later, end = _progress(connection)
                return Sample((end - position) / (later - events))

            def prepare() -> None:
                ready()
                if after_checkpoint:
                    checkpoint(dsn)

            return Side(name, run, prepare)

        for name, after_checkpoint in (("", False), (", right after a checkpoint", True)):
            yield Row(
                name=f"WAL bytes an event, record{name}",
                unit="bytes",
                ours=side("record()", RECORD, after_checkpoint=after_checkpoint),
                baseline=side("one statement, the same rows", SAME_ROWS, after_checkpoint=after_checkpoint),
                note="For information; every page is written whole when it first changes after a checkpoint.",
                rounds=1,
            )


def _progress(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """How many events have been recorded, and where the write-ahead log is, in bytes."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM meter.events), (pg_current_wal_insert_lsn() - '0/0')::bigint"
    ).fetchone()
    assert row is not None
    return row[0], row[1]

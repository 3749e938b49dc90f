"""record_batch() against COPY: what the tables take at most.

COPY fills the indexed tables `events` and `keys`, one COPY each in one transaction, from text that was made
beforehand, digests and the ids of series included. It checks nothing, finds no repeats, and adds to no total.
record_batch() gets JSON that was made beforehand, and its answer is read.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

import psycopg

from pymeter import Meter
from tests.benchmarks.bench import Bench, connected, short
from tests.benchmarks.harness import Row, Sample, Side, Target
from tests.benchmarks.ready import one_event_each
from tests.benchmarks.seed import define

_SUBJECTS = 100
_EVENTS_MAX = 200_000
_COPY_EVENTS = (
    "COPY meter.events (event_id, at, recorded_at, series_id, quantity, idempotency_key) FROM STDIN"
)
_COPY_KEYS = "COPY meter.keys (event_id, at, digest, quantity) FROM STDIN"
_event_ids = count(1_000_000_000_000)
_random = Random(1)


@dataclass(frozen=True)
class Batch:
    """One batch in every form that is loaded."""

    events: list[dict[str, Any]]
    json: str
    event_rows: bytes
    key_rows: bytes


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn, connected(dsn) as connection:
        define(connection, "tokens")
        one_event_each(connection, "tokens", _SUBJECTS)
        series = dict(connection.execute("SELECT subject, series_id FROM meter.series").fetchall())
        meter = Meter(connection)
        for size in bench.scale.batches:

            def side(
                name: str, load: Callable[[Batch], object], size: int = size, *, again: bool = False
            ) -> Side:
                return Side(
                    name, lambda: _rate(load, lambda: _make(size, series), bench.scale.seconds, again=again)
                )

            ours = side("record_batch()", lambda batch: _record(connection, batch))
            copy = side("COPY", lambda batch: _copy(connection, batch))
            yield Row(
                name=f"record_batch, {short(size)} events a call",
                unit="events/s",
                ours=ours,
                baseline=copy,
                target=Target(">=", 0.65) if size == 1_000 else None,
                note=f"{_SUBJECTS} subjects; against COPY into events and keys alone.",
            )
            yield Row(
                name=f"record_batch, {short(size)} events a call, all duplicates",
                unit="events/s",
                ours=side("all duplicates", lambda batch: _record(connection, batch), again=True),
                baseline=ours,
                note="Against a batch of new events.",
            )
            yield Row(
                name=f"Meter.record_batch, {short(size)} events a call",
                unit="events/s",
                ours=side("Meter.record_batch", lambda batch: meter.record_batch(batch.events)),
                baseline=copy,
                note="From Python dictionaries to Python outcomes; COPY as above.",
            )


def _rate(
    load: Callable[[Batch], object], make: Callable[[], Batch], seconds: float, *, again: bool
) -> Sample:
    """Load new batches, made outside of the time, for `seconds`; `again`: one that was loaded before."""
    batch = make()
    if again:
        load(batch)
    size = len(batch.events)
    latencies: list[float] = []
    while sum(latencies) < seconds and len(latencies) * size < _EVENTS_MAX:
        if not again:
            batch = make()
        begin = time.perf_counter()
        load(batch)
        latencies.append(time.perf_counter() - begin)
    return Sample(len(latencies) * size / sum(latencies), latencies)


def _record(connection: psycopg.Connection[Any], batch: Batch) -> None:
    connection.execute("SELECT * FROM meter.record_batch(%s::jsonb)", [batch.json], prepare=True)


def _copy(connection: psycopg.Connection[Any], batch: Batch) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(_COPY_EVENTS) as copy:
            copy.write(batch.event_rows)
        with cursor.copy(_COPY_KEYS) as copy:
            copy.write(batch.key_rows)


def _make(size: int, series: dict[str, int]) -> Batch:
    """Events of this minute, in no order of subjects."""
    prefix = secrets.token_hex(8)
    now = datetime.now(UTC).isoformat()
    events, event_rows, key_rows = [], [], []
    for number in range(size):
        subject, key = f"acct_{_random.randrange(_SUBJECTS)}", f"req_{prefix}_{number:06d}"
        events.append(
            {"subject": subject, "metric": "tokens", "quantity": 3, "idempotency_key": key, "at": now}
        )
        event_id, digest = next(_event_ids), hashlib.sha256(key.encode()).digest()[:16].hex()
        event_rows.append(f"{event_id}\t{now}\t{now}\t{series[subject]}\t3\t{key}\n")
        key_rows.append(f"{event_id}\t{now}\t{digest}\t3\n")
    return Batch(events, json.dumps(events), "".join(event_rows).encode(), "".join(key_rows).encode())

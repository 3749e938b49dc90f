"""What every module of rows works with: how much to do, databases, and the means to fill and time them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from tests.benchmarks.harness import Sample
from tests.benchmarks.server import Databases

_CALLS_MIN = 3
_CALLS_MAX = 2000


@dataclass(frozen=True)
class Scale:
    """How much is done. Events are those of one data set."""

    name: str
    rounds: int
    """How often both sides of a row are measured."""
    seconds: float
    """How long one measurement lasts, where it is a rate."""
    clients: tuple[int, ...]
    hot_clients: int
    subjects: int
    """Over how many subjects a load is spread."""
    batches: tuple[int, ...]
    """Events a call of record_batch."""
    window_events: int
    window_events_max: int | None
    """The window over ten times as many events is measured too; None: over a tenth as many."""
    unique_events: int
    members: tuple[int, ...]
    """Distinct members among the events of a unique metric."""
    rebuild_events: int
    rebuild_rounds: int
    size_events: int
    growth_events: tuple[int, ...]
    growth_seconds: float
    """How long the rate is measured from a checkpoint on."""
    first_calls: int
    """Calls of a measurement of events that are not ordinary, each of a subject of its own."""
    report_pushes: int
    """Pushes that are sent in one measurement."""
    report_events: int
    """Events whose calls are counted."""


_QUICK = Scale(
    name="quick",
    rounds=3,
    seconds=0.5,
    clients=(1, 8, 16),
    hot_clients=16,
    subjects=10_000,
    batches=(1_000,),
    window_events=1_000_000,
    window_events_max=None,
    unique_events=200_000,
    members=(10_000,),
    rebuild_events=1_000_000,
    rebuild_rounds=1,
    size_events=30_000,
    growth_events=(),
    growth_seconds=10,
    first_calls=300,
    report_pushes=2_000,
    report_events=100_000,
)
_DEFAULT = Scale(
    name="default",
    rounds=5,
    seconds=3,
    clients=(1, 8, 16),
    hot_clients=16,
    subjects=10_000,
    batches=(100, 1_000, 10_000),
    window_events=1_000_000,
    window_events_max=None,
    unique_events=1_000_000,
    members=(10_000,),
    rebuild_events=5_000_000,
    rebuild_rounds=2,
    size_events=500_000,
    growth_events=(),
    growth_seconds=30,
    first_calls=1000,
    report_pushes=5_000,
    report_events=1_000_000,
)
_FULL = Scale(
    name="full",
    rounds=7,
    seconds=5,
    clients=(1, 8, 16),
    hot_clients=16,
    subjects=10_000,
    batches=(100, 1_000, 10_000),
    window_events=1_000_000,
    window_events_max=10_000_000,
    unique_events=1_000_000,
    members=(1_000, 10_000, 100_000),
    rebuild_events=5_000_000,
    rebuild_rounds=3,
    size_events=1_000_000,
    growth_events=(1_000_000, 10_000_000, 50_000_000),
    growth_seconds=60,
    first_calls=2000,
    report_pushes=20_000,
    report_events=1_000_000,
)
# For the smoke test: everything runs, nothing is measured.
_TINY = Scale(
    name="tiny",
    rounds=1,
    seconds=0.05,
    clients=(2,),
    hot_clients=2,
    subjects=10,
    batches=(20,),
    window_events=2_000,
    window_events_max=None,
    unique_events=2_000,
    members=(50,),
    rebuild_events=2_000,
    rebuild_rounds=1,
    size_events=400,
    growth_events=(1_000, 2_000),
    growth_seconds=0.1,
    first_calls=20,
    report_pushes=20,
    report_events=500,
)
SCALES = {scale.name: scale for scale in (_QUICK, _DEFAULT, _FULL, _TINY)}


@dataclass(frozen=True)
class Bench:
    """A run: its scale, and the server it runs on."""

    scale: Scale
    databases: Databases

    def database(self) -> AbstractContextManager[str]:
        """The DSN of a new database with a meter in schema ``meter``."""
        return self.databases.new()


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit, for filling and for timing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def calls(
    connection: psycopg.Connection[Any], statement: LiteralString, parameters: Sequence[Any], seconds: float
) -> Callable[[], Sample]:
    """Time one prepared statement, over and over for `seconds`: the median in ms, and every latency."""

    def run() -> Sample:
        latencies: list[float] = []
        end = time.perf_counter() + seconds
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters, prepare=True)
            while len(latencies) < _CALLS_MIN or (time.perf_counter() < end and len(latencies) < _CALLS_MAX):
                begin = time.perf_counter()
                cursor.execute(statement, parameters, prepare=True)
                latencies.append(time.perf_counter() - begin)
        return Sample(statistics.median(latencies) * 1000, latencies)

    return run


def once(connection: psycopg.Connection[Any], statement: LiteralString) -> Callable[[], Sample]:
    """Time one long statement once: seconds."""

    def run() -> Sample:
        begin = time.perf_counter()
        connection.execute(statement)
        return Sample(time.perf_counter() - begin)

    return run


def short(number: int) -> str:
    """``1,000``, and ``5 million`` instead of seven digits."""
    return f"{number // 1_000_000} million" if number and number % 1_000_000 == 0 else f"{number:,}"

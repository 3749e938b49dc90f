"""Applications that record: each a process with its own connections, so that they share no interpreter lock.

Both ways are written as an application would write them, with the same driver, on direct connections that
stay open. psycopg prepares a statement when it has been executed five times:

ours             Meter(connection).record(...) on a connection in autocommit, or record_batch(...)
http             the same events by POST /v1/events, on a connection that is kept alive
four_statements  BEGIN, INSERT of the event, UPSERT of the period's total, COMMIT, on home_made.py's tables
"""

from __future__ import annotations

import json
import multiprocessing
import secrets
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from random import Random
from types import TracebackType
from typing import Any, Literal, Self

import psycopg

from pymeter import Meter
from tests.benchmarks.harness import Sample
from tests.benchmarks.ready import one_event_each
from tests.web.posts import Poster

Way = Literal["ours", "http", "four_statements"]

_CONTEXT = multiprocessing.get_context("forkserver")
_WARM_UP_CALLS = 15  # psycopg prepares after five, and five later PostgreSQL decides on its plans
_START_SECONDS = 0.02
_MARGIN_SECONDS = 300  # 16 processes start, perhaps on a busy machine

_INSERT = """
INSERT INTO home_made.events (subject, metric, quantity, idempotency_key) VALUES (%s, %s, %s, %s)
ON CONFLICT (subject, metric, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id
"""
_UPSERT = """
INSERT INTO home_made.totals AS t (subject, metric, month, quantity, event_count)
VALUES (%s, %s, date_trunc('month', now(), 'UTC'), %s, 1)
ON CONFLICT (subject, metric, month)
DO UPDATE SET quantity = t.quantity + excluded.quantity, event_count = t.event_count + 1 RETURNING quantity
"""


@dataclass(frozen=True)
class Load:
    """What every client does: record `metric` for so long, of subjects drawn evenly from `subjects`."""

    way: Way
    metric: str
    subjects: int
    seconds: float
    total: bool = True
    """Whether the new total is asked for. Ours only."""
    events: int = 1
    """Events a call: more than one are a batch. Ours and http only."""
    server: tuple[int, str] | None = None
    """Port and key of the HTTP server. http only."""


@dataclass(frozen=True)
class OneEach:
    """Every client records one event of `metric` of each subject, in batches."""

    metric: str
    subjects: int


class Fleet:
    """`size` client processes, which stay connected to `dsn` from one load to the next."""

    def __init__(self, dsn: str, size: int) -> None:
        self._stack = ExitStack()
        self._clients: list[tuple[Connection, Any]] = []
        for number in range(size):
            ours, theirs = _CONTEXT.Pipe()
            process = _CONTEXT.Process(target=_client, args=(theirs, dsn, number), daemon=True)
            process.start()
            theirs.close()
            self._clients.append((ours, process))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe, process in self._clients:
            pipe.close()
            process.join(5)
            process.terminate()

    def run(self, load: Load) -> Sample:
        """Let all clients do this at the same time: events a second of all together, and every latency."""
        for pipe, _ in self._clients:
            pipe.send(load)
        self._receive(load.seconds)  # everybody is warm
        start = time.monotonic() + _START_SECONDS
        for pipe, _ in self._clients:
            pipe.send(start)
        answers = self._receive(load.seconds)
        latencies: list[float] = []
        rate = 0.0
        for elapsed, measured in answers:
            rate += len(measured) / elapsed
            latencies.extend(measured)
        return Sample(rate, latencies)

    def record(self, work: OneEach) -> None:
        """Let all clients do this at the same time."""
        for pipe, _ in self._clients:
            pipe.send(work)
        self._receive(0)

    def _receive(self, seconds: float) -> list[Any]:
        answers = []
        for pipe, _ in self._clients:
            if not pipe.poll(seconds + _MARGIN_SECONDS):
                raise TimeoutError("a benchmark client does not answer")
            answer = pipe.recv()
            if isinstance(answer, Exception):
                raise answer
            answers.append(answer)
        return answers


def _client(pipe: Connection, dsn: str, number: int) -> None:
    random = Random(number)
    with psycopg.connect(dsn, autocommit=True) as own, psycopg.connect(dsn) as handmade:
        while True:
            try:
                load: Load | OneEach = pipe.recv()
            except EOFError:
                return
            try:
                if isinstance(load, OneEach):
                    one_event_each(own, load.metric, load.subjects)
                    pipe.send(None)
                    continue
                with ExitStack() as stack:
                    if load.way == "http":
                        assert load.server is not None
                        call = _posts(stack.enter_context(Poster(*load.server)), load, random)
                    elif load.way == "ours":
                        call = _ours(own, load, random)
                    else:
                        call = _four_statements(handmade, load, random)
                    for _ in range(_WARM_UP_CALLS):
                        call()
                    pipe.send(None)
                    pipe.send(_timed(call, pipe.recv(), load.seconds))
            except Exception as error:
                pipe.send(RuntimeError(f"client {number}, {load}: {error}"))


def _timed(call: Callable[[], object], start: float, seconds: float) -> tuple[float, array[float]]:
    latencies = array("d")
    time.sleep(max(0.0, start - time.monotonic()))
    begin = now = time.perf_counter()
    end = begin + seconds
    while now < end:
        before = now
        call()
        now = time.perf_counter()
        latencies.append(now - before)
    return now - begin, latencies


def _ours(connection: psycopg.Connection[Any], load: Load, random: Random) -> Callable[[], object]:
    meter = Meter(connection)
    prefix, numbers = f"req_{secrets.token_hex(8)}_", count(1)

    def call() -> object:
        subject = f"acct_{random.randrange(load.subjects)}"
        key = f"{prefix}{next(numbers):08d}"
        return meter.record(subject, load.metric, 3, idempotency_key=key, total=load.total)

    events = _events(load, random)
    return call if load.events == 1 else lambda: meter.record_batch(next(events))


def _posts(poster: Poster, load: Load, random: Random) -> Callable[[], object]:
    events = _events(load, random)

    def call() -> object:
        sent = next(events)
        status, answer = poster.post(json.dumps(sent[0] if load.events == 1 else sent).encode())
        if status != 200:
            raise RuntimeError(f"{status}: {answer.decode()}")
        return json.loads(answer)

    return call


def _events(load: Load, random: Random) -> Iterator[list[dict[str, Any]]]:
    prefix, numbers = f"req_{secrets.token_hex(8)}_", count(1)
    while True:
        yield [
            {
                "subject": f"acct_{random.randrange(load.subjects)}",
                "metric": load.metric,
                "quantity": 3,
                "idempotency_key": f"{prefix}{next(numbers):08d}",
            }
            for _ in range(load.events)
        ]


def _four_statements(connection: psycopg.Connection[Any], load: Load, random: Random) -> Callable[[], object]:
    prefix, numbers = f"req_{secrets.token_hex(8)}_", count(1)

    def call() -> object:
        subject = f"acct_{random.randrange(load.subjects)}"
        key = f"{prefix}{next(numbers):08d}"
        # The driver sends BEGIN before the first statement: four round trips.
        if connection.execute(_INSERT, (subject, load.metric, 3, key)).fetchone() is None:
            connection.rollback()
            return None
        total = connection.execute(_UPSERT, (subject, load.metric, 3)).fetchone()
        connection.commit()
        return total

    return call

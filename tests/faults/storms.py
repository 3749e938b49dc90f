"""A storm: many sessions record the same events at once, in random order, at every isolation level.

Each event is sent by several sessions, so keys collide as much as rollups do. A session does what an
application does: it tries again on 40001, and on nothing else.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import IsolationLevel

from tests.faults.crashes import connect, wait_until_alone
from tests.faults.load import METRICS, SUBJECTS, batch, define, single, wrong_totals
from tests.helpers import Ledger

LEVELS = (IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE)
SENT_BY = 3  # sessions
_MAY_FAIL = {
    "SELECT meter.maintain()": ("55P03",),
    "SELECT meter.rebuild()": (),
    "SELECT count(*) FROM meter.verify()": (),
    "SELECT meter.define_metric('tokens', 'sum', 'unit')": (),
    "SELECT meter.summary('acct_1')": (),
}


@dataclass
class Storm:
    """What a storm showed."""

    sessions: int
    events: int
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    tries_again: int = 0
    timeouts: int = 0
    deadlocks: int = 0
    lost: int = 0
    double: int = 0
    drifts: int = 0
    unexpected: list[str] = field(default_factory=list)


def run_storm(
    dsn: str,
    *,
    sessions: int,
    events: int,
    seed: int = 0,
    levels: tuple[IsolationLevel, ...] = LEVELS,
    statement_timeout_ms: int = 0,
    pooled: bool = False,
) -> Storm:
    """Record so many events ``SENT_BY`` times over, from so many sessions, and look at what has come of it.

    statement_timeout_ms: canceled statements are sent again, too. pooled: connections are shared by a pooler
    whose own sessions stay, so nobody is waited for at the end.
    """
    storm = Storm(sessions, events)
    chance = random.Random(seed)
    with connect(dsn, "judge") as connection:
        define(connection)
        deadlocks = _deadlocks(connection)
    pool = [_event(chance, seed, n) for n in range(events)]
    sent = [event for event in pool for _ in range(SENT_BY)]
    chance.shuffle(sent)
    storm.sent = len(sent)
    work = _Work(storm, _cut(chance, sent))
    stopped = threading.Event()
    threads = [
        threading.Thread(
            target=work.record,
            args=(dsn, levels[n % len(levels)], statement_timeout_ms),
            daemon=True,
        )
        for n in range(sessions)
    ]
    upkeep = threading.Thread(target=work.disturb, args=(dsn, chance.random(), stopped), daemon=True)
    for thread in (*threads, upkeep):
        thread.start()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive(), "a session never ended"
    stopped.set()
    upkeep.join(120)
    assert not upkeep.is_alive(), "an operator never ended"
    with connect(dsn, "judge") as connection:
        if not pooled:
            wait_until_alone(connection)
        _judge(connection, storm, pool)
        storm.deadlocks = _deadlocks(connection) - deadlocks
    return storm


def assert_calm(storm: Storm) -> None:
    """Nothing lost, nothing double, no deadlock; exactly one caller was told `recorded` for each key."""
    assert storm.unexpected == []
    assert (storm.lost, storm.double, storm.drifts, storm.deadlocks) == (0, 0, 0, 0), storm
    assert storm.outcomes["conflict"] == 0
    if storm.timeouts == 0:  # whoever was canceled may have been told so after the fact
        assert storm.outcomes["recorded"] == storm.events, storm
        assert storm.outcomes.total() == storm.sent, storm


class _Work:
    def __init__(self, storm: Storm, calls: list[list[dict[str, Any]]]) -> None:
        self.storm = storm
        self.calls = calls
        self.lock = threading.Lock()

    def record(self, dsn: str, level: IsolationLevel, statement_timeout_ms: int) -> None:
        try:
            with connect(dsn, "writer") as connection:
                connection.isolation_level = level
                while events := self._next():
                    outcomes = self._until_done(connection, events, statement_timeout_ms)
                    with self.lock:
                        self.storm.outcomes.update(outcomes)
        except BaseException as error:
            self._unexpected(error)

    def disturb(self, dsn: str, seed: float, stopped: threading.Event) -> None:
        chance = random.Random(seed)
        try:
            with connect(dsn, "upkeep") as connection:
                while not stopped.wait(chance.uniform(0, 0.05)):
                    statement = chance.choice(list(_MAY_FAIL))
                    try:
                        connection.execute(statement.encode())
                    except psycopg.Error as error:
                        if error.sqlstate not in _MAY_FAIL[statement]:
                            raise
        except BaseException as error:
            self._unexpected(error)

    def _until_done(
        self, connection: psycopg.Connection[Any], events: list[dict[str, Any]], statement_timeout_ms: int
    ) -> list[str]:
        while True:
            try:
                with connection.transaction():
                    if statement_timeout_ms:
                        connection.execute(f"SET LOCAL statement_timeout = {statement_timeout_ms}".encode())
                    one = len(events) == 1
                    return [single(connection, events[0])] if one else batch(connection, events)
            except psycopg.errors.SerializationFailure:
                with self.lock:
                    self.storm.tries_again += 1
            except psycopg.errors.QueryCanceled:
                if not statement_timeout_ms:
                    raise
                with self.lock:
                    self.storm.timeouts += 1
                statement_timeout_ms = min(2 * statement_timeout_ms, 10_000)

    def _next(self) -> list[dict[str, Any]] | None:
        with self.lock:
            return self.calls.pop() if self.calls else None

    def _unexpected(self, error: BaseException) -> None:
        with self.lock:
            state = getattr(error, "sqlstate", None)
            self.storm.unexpected.append(f"{type(error).__name__} {state}: {str(error)[:1000]}")


def _event(chance: random.Random, seed: int, number: int) -> dict[str, Any]:
    metric = chance.choice(list(METRICS))
    # Moments of their own, over three days and one stray month.
    at = datetime.now(UTC) - timedelta(days=chance.choice((0, 0, 1, 2, 700)), microseconds=1000 * number)
    event = {
        "subject": chance.choice(SUBJECTS),
        "metric": metric,
        "at": at.isoformat(),
        "idempotency_key": f"storm-{seed}-{number}",
        "metadata": {"id": f"storm-{seed}-{number}"},
    }
    if METRICS[metric] == "unique":
        return event | {"member": f"user_{chance.randint(1, 30)}"}
    return event | {"quantity": str(chance.randint(0, 1000))}


def _cut(chance: random.Random, events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Calls: one event in four alone, the others in batches, in whatever order they are in."""
    calls = []
    while events:
        size = chance.choice((1, 5, 20, 60))
        calls.append(events[:size])
        events = events[size:]
    chance.shuffle(calls)
    return calls


def _judge(connection: psycopg.Connection[Any], storm: Storm, pool: list[dict[str, Any]]) -> None:
    ledger = Ledger(connection)
    mine = [event["metadata"]["id"] for event in pool]
    rows = ledger.rows("SELECT metadata ->> 'id' AS id, count(*) AS n FROM meter.events GROUP BY 1")
    there = {row.id: row.n for row in rows}
    storm.lost = len(set(mine) - there.keys())
    storm.double = sum(n > 1 for n in there.values())
    storm.drifts = len(ledger.verify())
    if there.keys() == set(mine):  # else there is more than this storm's to be summed
        storm.drifts += wrong_totals(ledger, pool)


def _deadlocks(connection: psycopg.Connection[Any]) -> int:
    """What the server has counted for this database."""
    time.sleep(1.1)  # statistics are sent at most once a second
    row = connection.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])

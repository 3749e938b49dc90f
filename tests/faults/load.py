"""Writers that record while something goes wrong, and what they were told compared with what is there.

A writer notes in a journal what it is about to send, then what was acknowledged. Every event carries an id of
its own in its metadata, so that each can be found again, with an idempotency key or without.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Model, same_quantity

METRICS = {
    "tokens": "sum",
    "calls": "count",
    "peak": "max",
    "seats": "last",
    "users": "unique",
    "hot": "sum",  # striped
}
SUBJECTS = tuple(f"acct_{n}" for n in range(6))
_DAYS = (0, 1, 20, 45, 400, 1500)  # ago: some in partitions, some strays
_RECONNECT_SECONDS_MAX = 180

# A connection that is lost, closed by the server or refused while the server starts; a canceled statement.
INTERRUPTED = ("57P01", "57P02", "57P03", "08000", "08003", "08006", "25P03", "57014")
TRY_AGAIN = ("40001",)


@dataclass(frozen=True)
class Op:
    """What is sent and acknowledged as one: a call, or a transaction. ``keyed``: it may be repeated."""

    kind: str
    events: tuple[dict[str, Any], ...]
    keyed: bool

    def as_json(self) -> str:
        return json.dumps({"kind": self.kind, "keyed": self.keyed, "events": self.events})

    @classmethod
    def from_json(cls, text: str) -> Op:
        read = json.loads(text)
        return cls(read["kind"], tuple(read["events"]), read["keyed"])


class Journal:
    """What was sent and what was acknowledged; shared by threads. With a file, it outlives its process."""

    def __init__(self, file: Path | None = None) -> None:
        self.sent: list[Op] = []
        self.acknowledged: list[Op] = []
        self.unexpected: list[str] = []
        self.interruptions: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._file = file

    def note_sent(self, op: Op) -> None:
        self._note(self.sent, "sent", op)

    def note_acknowledged(self, op: Op) -> None:
        self._note(self.acknowledged, "acknowledged", op)

    def note_interrupted(self, error: psycopg.Error) -> None:
        with self._lock:
            self.interruptions[error.sqlstate or "connection lost"] += 1

    def note_unexpected(self, error: BaseException) -> None:
        with self._lock:
            state = getattr(error, "sqlstate", None)
            self.unexpected.append(f"{type(error).__name__} {state}: {error}")

    def read(self, file: Path) -> None:
        """Add the journal of a process that may have been killed in the middle of a line."""
        kinds = {"sent": self.sent, "acknowledged": self.acknowledged}
        for line in file.read_text().splitlines(keepends=True) if file.exists() else ():
            if line.endswith("\n"):
                word, _, text = line.partition(" ")
                kinds[word].append(Op.from_json(text))

    def unanswered(self) -> list[Op]:
        answered = {op.events[0]["metadata"]["id"] for op in self.acknowledged}
        ops = {op.events[0]["metadata"]["id"]: op for op in self.sent}
        return [op for name, op in ops.items() if name not in answered]

    def _note(self, ops: list[Op], word: str, op: Op) -> None:
        with self._lock:
            ops.append(op)
            if self._file:
                with self._file.open("a") as file:
                    file.write(f"{word} {op.as_json()}\n")


@dataclass
class Figures:
    """What a run showed, summed up."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unanswered: int = 0  # events whose fate the client did not know
    of_them_counted: int = 0
    retried: int = 0
    lost: int = 0
    double: int = 0
    drifts: int = 0
    interruptions: Counter[str] = field(default_factory=Counter)

    def add(self, other: Figures) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def as_dict(self) -> dict[str, Any]:
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}


class Writer:
    """Records as fast as it can, in singles, batches and transactions, and repeats what was interrupted."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], psycopg.Connection[Any]],
        journal: Journal,
        *,
        isolation: psycopg.IsolationLevel | None = None,
        kinds: Sequence[str] = ("single", "single", "batch", "transaction"),
        tolerated: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.connect = connect
        self.journal = journal
        self.random = random.Random(name)
        self.isolation = isolation
        self.kinds = kinds
        self.tolerated = (*INTERRUPTED, *tolerated)
        self.connection: psycopg.Connection[Any] | None = None
        self._numbers = count()
        self._recent: list[Op] = []

    def run(self, stopped: threading.Event) -> None:
        try:
            while not stopped.is_set():
                op = self._next_op()
                self.journal.note_sent(op)
                if self._send(op, stopped):
                    self.journal.note_acknowledged(op)
                    if op.keyed:
                        self._recent = [*self._recent[-20:], op]
        except BaseException as error:
            self.journal.note_unexpected(error)
        finally:
            if self.connection:
                self.connection.close()

    def backend(self) -> int | None:
        """The process that serves this writer now."""
        connection = self.connection
        return None if connection is None or connection.closed else connection.info.backend_pid

    def _next_op(self) -> Op:
        if self._recent and self.random.random() < 0.1:
            return self.random.choice(self._recent)
        kind = self.random.choice(self.kinds)
        size = {"single": 1, "batch": self.random.randint(1, 25), "transaction": 3}[kind]
        keyed = self.random.random() < 0.8
        events = [self._event(keyed) for _ in range(size)]
        if kind == "transaction":
            # Calls lock in their own order. A transaction that must not deadlock with a batch or maintain()
            # keeps to one series; not of a unique metric, because a batch locks all members before its first
            # series; not of a striped one, because its new rows come before all others.
            one = events[0]
            series = {"subject": one["subject"], "metric": one["metric"]}
            alone = one["metric"] in ("users", "hot")
            events = [one] if alone else [e | series for e in events if "quantity" in e]
            events = events or [one]
        return Op(kind, tuple(events), keyed)

    def _event(self, keyed: bool) -> dict[str, Any]:
        name = f"{self.name}-{next(self._numbers)}"
        metric = self.random.choice(list(METRICS))
        # No two events of one moment: which of them is the later-recorded `last` is not for this to know.
        at = datetime.now(UTC) - timedelta(days=self.random.choice(_DAYS))
        event = {
            "subject": self.random.choice(SUBJECTS),
            "metric": metric,
            "at": at.isoformat(),
            "metadata": {"id": name},
        }
        if METRICS[metric] == "unique":
            event["member"] = f"user_{self.random.randint(1, 40)}"
        elif self.random.random() < 0.9 or metric != "calls":
            event["quantity"] = str(Decimal(self.random.randint(0, 10**6)).scaleb(-3))
        if keyed:
            event["idempotency_key"] = name
        return event

    def _send(self, op: Op, stopped: threading.Event) -> bool:
        """Whether it was acknowledged; half of what was interrupted and may be repeated is, at once."""
        while True:
            try:
                self._execute(op)
                return True
            except psycopg.Error as error:
                self._drop_connection()
                if error.sqlstate in TRY_AGAIN:
                    self.journal.note_interrupted(error)
                    continue
                lost = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
                if not lost and error.sqlstate not in self.tolerated:
                    raise
                self.journal.note_interrupted(error)
                if stopped.is_set() or not op.keyed or self.random.random() < 0.5:
                    return False

    def _execute(self, op: Op) -> None:
        connection = self._connected()
        with connection.transaction() if op.kind == "transaction" or self.isolation else nullcontext():
            if op.kind == "batch":
                batch(connection, op.events)
                return
            for event in op.events:
                single(connection, event)

    def _connected(self) -> psycopg.Connection[Any]:
        deadline = time.monotonic() + _RECONNECT_SECONDS_MAX
        while self.connection is None:
            try:
                self.connection = self.connect()
                if self.isolation is not None:
                    self.connection.isolation_level = self.isolation
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        return self.connection

    def _drop_connection(self) -> None:
        if self.connection:
            if not self.connection.closed and self.connection.info.transaction_status == 0:
                return
            self.connection.close()
            self.connection = None


def single(connection: psycopg.Connection[Any], event: dict[str, Any]) -> str:
    named = ", ".join(f"{name} => %({name})s" for name in event)
    values = {**event, "metadata": Jsonb(event["metadata"])}
    row = connection.execute(f"SELECT outcome FROM meter.record({named})", values).fetchone()
    assert row is not None
    return str(row[0])


def batch(connection: psycopg.Connection[Any], events: Iterable[dict[str, Any]]) -> list[str]:
    query = "SELECT outcome FROM meter.record_batch(%s) ORDER BY ordinal"
    return [row[0] for row in connection.execute(query, [Jsonb(list(events))])]


def define(connection: psycopg.Connection[Any]) -> None:
    for key, aggregate in METRICS.items():
        connection.execute(
            "SELECT meter.define_metric(%s, %s, 'unit', striped => %s)", [key, aggregate, key == "hot"]
        )


def compare(connection: psycopg.Connection[Any], journal: Journal) -> Figures:
    """What the journal was told against what is there; then everything that may be repeated is, and again."""
    assert not journal.unexpected, journal.unexpected[:3]
    figures = _count(connection, journal)
    unanswered = [op for op in journal.unanswered() if op.keyed]
    for op in unanswered:
        outcomes = batch(connection, op.events) + batch(connection, op.events)
        assert set(outcomes) <= {"recorded", "duplicate"}, outcomes
        assert set(outcomes[len(op.events) :]) == {"duplicate"}, outcomes
        journal.note_acknowledged(op)
        figures.retried += len(op.events)
    if unanswered:
        after = _count(connection, journal)
        figures.lost, figures.double = figures.lost + after.lost, figures.double + after.double
        figures.drifts += after.drifts
    figures.interruptions = journal.interruptions
    return figures


def _count(connection: psycopg.Connection[Any], journal: Journal) -> Figures:
    sent = {e["metadata"]["id"]: e for op in journal.sent for e in op.events}
    told = {e["metadata"]["id"] for op in journal.acknowledged for e in op.events}
    unknown = {e["metadata"]["id"] for op in journal.unanswered() for e in op.events}
    ledger = Ledger(connection)
    rows = ledger.rows("SELECT metadata ->> 'id' AS id, count(*) AS n FROM meter.events GROUP BY 1")
    there = {row.id: row.n for row in rows}
    figures = Figures(
        acknowledged=len(told),
        unanswered=len(unknown),
        of_them_counted=len(unknown & there.keys()),
        lost=len(told - there.keys()),
        double=sum(n > 1 for n in there.values()) + len(there.keys() - sent.keys()),
    )
    keyed = sum("idempotency_key" in sent[name] for name in there.keys() & sent.keys())
    keys = ledger.value(
        "SELECT count(*) FROM (SELECT FROM meter.keys UNION ALL SELECT FROM meter.old_keys) k"
    )
    assert keys == keyed, f"{keys} keys for {keyed} events with a key"
    for op in journal.unanswered():
        found = {event["metadata"]["id"] in there for event in op.events}
        assert len(found) == 1, f"a part of a {op.kind} was counted"
    drifts = ledger.verify()
    figures.drifts = len(drifts) + wrong_totals(ledger, [sent[name] for name in there if name in sent])
    return figures


def wrong_totals(ledger: Ledger, events: Iterable[dict[str, Any]]) -> int:
    """How many (subject, metric) are answered otherwise than a naive model of the events that are there."""
    by_pair: dict[tuple[str, str], Model] = {}
    for event in sorted(events, key=lambda e: e["at"]):
        read = {**event, "idempotency_key": None, "at": datetime.fromisoformat(event["at"])}
        read["quantity"] = Decimal(event["quantity"]) if "quantity" in event else None
        model = by_pair.setdefault((event["subject"], event["metric"]), Model(METRICS))
        model.record(read)
    wrong = 0
    for (subject, metric), model in by_pair.items():
        answer = ledger.usage(subject, metric, period="never")
        expected = model.usage(subject, metric)
        wrong += answer.event_count != expected[1]
        wrong += not same_quantity(METRICS[metric], answer.quantity, expected)
    return wrong


def assert_exactly_once(figures: Figures) -> None:
    """The promise, in one place."""
    assert (figures.lost, figures.double, figures.drifts) == (0, 0, 0), figures

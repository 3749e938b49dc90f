"""Moves under load: writers, a biller, and kill -9 of movers and servers; then everything is counted.

Two servers with a shard each. What a writer got an answer for is counted once, wherever its subject was; what
it got none for is sent again under its key until it gets one. The biller adds up values by identifier, as
Stripe does.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import psycopg

from pymeter import Meter, MeterError
from pymeter.migrate import migrate
from pymeter.scale import ShardedMeter, read_map, write_map
from pymeter.scale.errors import MoveRefused, MoveUnfinished
from pymeter.scale.moving import move
from tests.faults.servers import Server, new_database, new_server
from tests.scale.moves import cut_connections
from tests.scale.twins import join, new_map

_FORK = multiprocessing.get_context("fork")
_SUBJECTS = tuple(f"acct_{n}" for n in range(6))
_WRITERS = 4
_FAULTS = ("none", "none", "mover", "mover", "network", "source", "target")
_DEAD = (MeterError, psycopg.Error, OSError)
_LEASE = timedelta(seconds=2)
_JULY = {"since": datetime(2026, 7, 1, tzinfo=UTC), "until": datetime(2026, 8, 1, tzinfo=UTC)}


@dataclass
class MoveFigures:
    """What was done, and what was found."""

    moves: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    events: int = 0
    retries: int = 0
    repeats: int = 0
    forgotten: int = 0
    """Keys that were acknowledged, and counted again when they were repeated."""
    lost: int = 0
    double: int = 0
    drifts: int = 0
    statements: int = 0
    problems: int = 0
    reported: int = 0
    misreported: int = 0
    closed_milliseconds: list[int] = field(default_factory=list)

    def check(self) -> None:
        """Nothing was lost, counted twice, forgotten, changed, or told to the biller twice."""
        found = (self.lost, self.double, self.forgotten, self.drifts, self.problems, self.misreported)
        assert found == (0,) * 6, self

    def __str__(self) -> str:
        closed = sorted(self.closed_milliseconds) or [0]
        kills = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()) if name != "none")
        return (
            f"{self.moves:,} moves ({kills or 'no'} kills and cuts); {self.events:,} events acknowledged,"
            f" {self.retries:,} calls tried again, {self.repeats:,} keys repeated; closed for"
            f" {closed[len(closed) // 2]} / {closed[-1]} ms (p50 / max); {self.reported:,} units reported;"
            f" {self.statements} statements; {self.lost} lost, {self.double} double, {self.forgotten} keys"
            f" forgotten, {self.drifts} drifts, {self.problems} problems of statements,"
            f" {self.misreported} customers told wrongly"
        )


class Killable(Protocol):
    """A server that can be killed."""

    def kill(self) -> None: ...

    def bring_back(self) -> object: ...


class Writer:
    """Records under keys of its own; tries again until it has an answer, and repeats old keys."""

    def __init__(self, path: Path, number: int, stop: threading.Event) -> None:
        self.path, self.number, self.stop = path, number, stop
        self.acknowledged: list[tuple[str, str, int]] = []
        self.retries = self.repeats = self.forgotten = 0
        self._chance = random.Random(number)
        self._count = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        """Wait for what it has begun."""
        self._thread.join()

    def _run(self) -> None:
        while not self.stop.is_set():
            with suppress(*_DEAD), ShardedMeter.open(self.path, max_size=1, patience=2) as meter:
                while not self.stop.is_set():
                    self._step(meter)

    def _step(self, meter: ShardedMeter) -> None:
        if self.acknowledged and self._chance.random() < 0.2:
            subject, key, quantity = self._chance.choice(self.acknowledged)
            outcome = meter.record(subject, "tokens", quantity, idempotency_key=key).outcome
            self.repeats += 1
            self.forgotten += outcome != "duplicate"
            return
        events = []
        for _ in range(self._chance.choice((1, 1, 1, 10))):
            self._count += 1
            key = f"w{self.number}-{self._count}"
            events.append((self._chance.choice(_SUBJECTS), key, self._chance.randrange(1, 9)))
        while True:
            try:
                self._send(meter, events)
            except _DEAD:
                self.retries += 1
                time.sleep(0.02)
            else:
                self.acknowledged += events
                return

    def _send(self, meter: ShardedMeter, events: list[tuple[str, str, int]]) -> None:
        at = None if self._chance.random() < 0.8 else datetime.now(UTC) - timedelta(days=2)
        given = [
            {"subject": s, "metric": "tokens", "quantity": q, "idempotency_key": k}
            | ({"at": at} if at else {})
            for s, k, q in events
        ]
        if len(given) == 1:
            outcomes = [meter.record(**given[0]).outcome]
        else:
            outcomes = [one.outcome for one in meter.record_batch(given)]
        assert set(outcomes) <= {"recorded", "duplicate"}, outcomes


class Biller:
    """Takes what is reported. A value under an identifier that it knows changes nothing, as at Stripe."""

    def __init__(self, dsns: dict[str, str], stop: threading.Event) -> None:
        self.known: dict[str, tuple[str, Decimal]] = {}
        self.conflicts = 0
        self._stop = stop
        self._threads = [threading.Thread(target=self._run, args=one) for one in dsns.items()]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until nothing is being sent."""
        for thread in self._threads:
            thread.join()

    def totals(self) -> dict[str, Decimal]:
        """What each customer would be billed for."""
        found: dict[str, Decimal] = {}
        for customer, value in self.known.values():
            found[customer] = found.get(customer, Decimal(0)) + value
        return found

    def _run(self, name: str, dsn: str) -> None:
        while not self._stop.is_set():
            with suppress(*_DEAD), psycopg.connect(dsn, autocommit=True) as connection:
                while not self._stop.is_set():
                    self.take(Meter(connection), f"{name} {os.getpid()}")
                    time.sleep(0.05)
            time.sleep(0.05)

    def take(self, meter: Meter, worker: str) -> int:
        """Plan, take and settle what is due; how many pushes there were."""
        meter.plan_pushes()
        claimed = meter.claim_pushes("stripe", worker, 50, lease=_LEASE)
        for push in claimed:
            known = self.known.setdefault(push.identifier, (push.customer, Decimal(push.value)))
            self.conflicts += known != (push.customer, Decimal(push.value))
        meter.settle_pushes(
            "stripe",
            worker,
            [{"push_id": p.push_id, "attempt": p.attempt, "outcome": "delivered"} for p in claimed],
        )
        return len(claimed)


def run_moves(
    directory: Path, count: int, seconds_max: float, say: Callable[[str], None], programs: Path | None = None
) -> MoveFigures:
    """Move subjects to and fro under load, so many times or for so long, and count everything."""
    with _shards(directory, programs) as (path, servers):
        return moves_on(path, servers, count, seconds_max, say)


def moves_on(
    path: Path, servers: Mapping[str, Killable], count: int, seconds_max: float, say: Callable[[str], None]
) -> MoveFigures:
    """As ``run_moves``, on two shards named s1 and s2 that are there already."""
    figures = MoveFigures()
    chance = random.Random(count)
    dsns = {name: shard.dsn for name, shard in read_map(path).shards.items()}
    _define(path, figures)
    stop, told = threading.Event(), threading.Event()
    writers = [Writer(path, number, stop) for number in range(_WRITERS)]
    biller = Biller(dsns, told)
    try:
        deadline = time.monotonic() + seconds_max
        while figures.moves < count and time.monotonic() < deadline:
            _one_move(path, servers, chance, figures)
            if figures.moves % 25 == 0:
                say(f"{figures.moves} moves, {sum(len(one.acknowledged) for one in writers):,} events")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
        told.set()
        biller.join()
    _count(path, dsns, writers, biller, figures)
    return figures


@contextmanager
def _shards(directory: Path, programs: Path | None) -> Iterator[tuple[Path, dict[str, Server]]]:
    path = directory / "shards.json"
    with (
        new_server(programs) as one,
        new_server(programs) as two,
        new_database(one.dsn) as first,
        new_database(two.dsn) as second,
    ):
        for dsn in (first, second):
            migrate(dsn)
        write_map(path, new_map({"s1": first, "s2": second}))
        yield path, {"s1": one, "s2": two}


def _define(path: Path, figures: MoveFigures) -> None:
    """A metric that is reported, and statements that have to stay what they are."""
    with ShardedMeter.open(path, max_size=1) as meter:
        join(meter)
        meter.define_metric("tokens", "sum", "token")
        meter.define_biller("stripe", grace=timedelta(0))
        meter.report_metric("tokens", "tokens")
        for subject in _SUBJECTS:
            meter.report_subject(subject, f"cus_{subject}")
            meter.record(subject, "tokens", 7, at=datetime(2026, 7, 10, tzinfo=UTC), idempotency_key="july")
            meter.close_period(subject, **_JULY)
            figures.statements += 1


def _one_move(
    path: Path, servers: Mapping[str, Killable], chance: random.Random, figures: MoveFigures
) -> None:
    subject = chance.choice(_SUBJECTS)
    source = read_map(path).shard_of(subject)
    target = "s2" if source == "s1" else "s1"
    fault = chance.choice(_FAULTS)
    figures.faults[fault] = figures.faults.get(fault, 0) + 1
    if fault != "none":
        process = _FORK.Process(target=_quiet_move, args=(path, subject, target))
        process.start()
        time.sleep(chance.random() * 0.6)
        if fault == "mover":
            os.kill(process.pid or 0, signal.SIGKILL)
        elif fault == "network":
            for name in (source, target):
                with suppress(psycopg.Error):
                    cut_connections(read_map(path).shards[name].dsn)
        else:
            server = servers[source if fault == "source" else target]
            server.kill()
            server.bring_back()
        process.join(60)
        assert process.exitcode is not None, "the mover hangs"
    for _ in range(200):  # a leased lane, and a long copy, are waited for
        try:
            moved = move(path, subject, target, wait=2)
        except MoveRefused:
            figures.refused += 1
            time.sleep(0.1)
        except (MoveUnfinished, *_DEAD):
            time.sleep(0.1)
        else:
            figures.moves += 1
            if moved.closed_milliseconds:
                figures.closed_milliseconds.append(moved.closed_milliseconds)
            return
    raise AssertionError(f"{subject} cannot be moved to {target}")


def _quiet_move(path: Path, subject: str, target: str) -> None:
    with suppress(Exception):
        move(path, subject, target, wait=2)


def _count(
    path: Path, dsns: dict[str, str], writers: list[Writer], biller: Biller, figures: MoveFigures
) -> None:
    sent: dict[str, tuple[int, int]] = dict.fromkeys(_SUBJECTS, (0, 0))
    for writer in writers:
        figures.retries += writer.retries
        figures.repeats += writer.repeats
        figures.forgotten += writer.forgotten
        for subject, _, quantity in writer.acknowledged:
            count, total = sent[subject]
            sent[subject] = (count + 1, total + quantity)
    with ShardedMeter.open(path, max_size=1) as meter:
        for subject, (count, total) in sent.items():
            found = meter.usage(subject, "tokens", period="never")
            figures.events += count
            surplus = int(found.event_count) - 1 - count, int(found.quantity) - 7 - total
            figures.lost += max(0, -surplus[0])
            figures.double += max(0, surplus[0]) or int(surplus[0] == 0 and surplus[1] != 0)
            figures.drifts += len(meter.verify(subject))
            figures.problems += len(meter.verify_statements(subject))
            figures.statements -= len(meter.statements(subject)) != 1
        _tell_the_rest(dsns, biller)
        billed = biller.totals()
        for subject, (_, total) in sent.items():
            figures.reported += total
            # What July had is too old for Stripe, and held.
            figures.misreported += billed.get(f"cus_{subject}") != total
        figures.misreported += biller.conflicts


def _tell_the_rest(dsns: dict[str, str], biller: Biller) -> None:
    deadline = time.monotonic() + 60
    for name, dsn in dsns.items():
        with psycopg.connect(dsn, autocommit=True) as connection:
            meter = Meter(connection)
            while time.monotonic() < deadline:
                biller.take(meter, f"the last of {name}")
                left = sum(
                    s.pushes for s in meter.report_status() if s.state in ("planned", "sending", "unplanned")
                )
                if not left:
                    break
                time.sleep(0.2)

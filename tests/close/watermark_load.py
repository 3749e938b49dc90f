"""Watermarks drawn while eight sessions commit, roll back, prepare and hang; every answer is kept."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.close.remember import UNTIL, Remembered, assert_still_so, remember
from tests.helpers import Ledger, Task, at

METRICS = {key: key for key in ("count", "sum", "min", "max", "avg", "last", "unique")}
SESSIONS = 8
_PAUSE_SECONDS = 0.05
# What an honest caller tries again, or what has just been changed by another one.
TOLERATED = ("55P03", "40001", "40P01", "22023", "UM007", "57014")
_DAYS = (0, 0, 0, 1, 20, 45)
PROBE = "probe"
# The days of nearly all events; the others are in the totals.
_SINCE = UNTIL - timedelta(days=50)


@dataclass
class Load:
    """What a run has shown."""

    remembered: list[Remembered] = field(default_factory=list)
    gave_up: int = 0
    longest_wait: float = 0  # of who records for a subject whose watermarks are drawn
    longest_draw: float = 0
    recorded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0


def define(ledger: Ledger) -> None:
    for key, aggregate in METRICS.items():
        ledger.define(key, aggregate)
    for key, aggregate in {"hot": "sum", "hot_max": "max", "hot_unique": "unique"}.items():
        ledger.define(key, aggregate, striped=True)
    ledger.define("limited", "sum")
    ledger.call("set_limit", metric="limited", quota=1_000_000_000)


class Worker:
    """One session."""

    def __init__(self, name: str, dsn: str, subjects: list[str], load: Load, *, prepares: bool) -> None:
        self.name, self.dsn, self.subjects, self.load = name, dsn, subjects, load
        self.draw = random.Random(name)
        self.prepares = prepares
        self.number = 0
        self.two_phases = False
        self.keys: list[tuple[str, str, str]] = []
        self.corrections: list[int] = []

    def run(self, stopped: threading.Event) -> None:
        with psycopg.connect(self.dsn, application_name=self.name) as connection:
            session = Ledger(connection)
            while not stopped.wait(_PAUSE_SECONDS):
                try:
                    self.transaction(session, connection)
                except psycopg.Error as error:
                    connection.tpc_rollback() if self.two_phases else connection.rollback()
                    if error.sqlstate not in TOLERATED:
                        raise
                    self.load.refused[str(error.sqlstate)] += 1

    def transaction(self, session: Ledger, connection: psycopg.Connection[Any]) -> None:
        self.number += 1
        end = self.draw.choices(
            ["commit", "rollback", "prepare", "hang"], [80, 10, 2 if self.prepares else 0, 0.5]
        )[0]
        self.two_phases = end == "prepare"
        if self.two_phases:
            connection.tpc_begin(f"{self.name}-{self.number}")
        subject, done = self.draw.choice(self.subjects), []
        for _ in range(self.draw.choice([1, 1, 2, 4])):
            what = self.draw.choices(
                [self.single, self.batch, self.settle, self.correct, self.stage, self.revert],
                [10, 3, 2, 3, 1, 1],
            )[0]
            done.append(what)
            what(session, subject)
        if end == "prepare":
            connection.tpc_prepare()
            time.sleep(self.draw.uniform(0, 0.2))
            connection.tpc_commit() if self.draw.random() < 0.7 else connection.tpc_rollback()
        elif end == "rollback":
            connection.rollback()
        else:
            time.sleep(self.draw.uniform(0.2, 1.2) if end == "hang" else 0)
            connection.commit()
        for what in done:
            self.load.recorded[f"{what.__name__}, {end}"] += 1

    def event(self, subject: str, metric: str | None = None) -> dict[str, Any]:
        metric = metric or self.draw.choice([*METRICS, "hot", "hot_max", "hot_unique", "limited"])
        key = f"{self.name}-{self.number}-{self.draw.random()}"
        self.keys = [*self.keys[-200:], (subject, metric, key)]
        moment = datetime.now(UTC) - timedelta(days=self.draw.choice(_DAYS), seconds=self.draw.randint(0, 99))
        value = {"quantity": self.draw.randint(1, 99)}
        if "unique" in metric:
            value = {"member": f"m{self.draw.randint(1, 99)}"}  # type: ignore[dict-item]
        return {"subject": subject, "metric": metric, "at": moment, "idempotency_key": key, **value}

    def single(self, session: Ledger, subject: str) -> None:
        session.record(**self.event(subject))

    def batch(self, session: Ledger, subject: str) -> None:
        metric = self.draw.choice([None, "sum", "count"])
        session.batch([self.event(subject, metric) for _ in range(self.draw.randint(2, 6))])

    def settle(self, session: Ledger, subject: str) -> None:
        key = f"hold-{self.name}-{self.number}-{self.draw.random()}"
        metric = self.draw.choice(["limited", "sum"])
        held = session.call("reserve", subject=subject, metric=metric, quantity=5, idempotency_key=key)[0]
        if held.reservation_id is not None:
            session.call("settle", reservation_id=held.reservation_id, quantity=self.draw.choice([3, 9]))

    def correct(self, session: Ledger, subject: str) -> None:
        if not self.keys:
            return
        subject, metric, key = self.draw.choice(self.keys)
        given = {"subject": subject, "metric": metric, "reason": "why"}
        if metric in ("sum", "hot") and self.draw.random() < 0.3:
            told = session.call("adjust", quantity=self.draw.randint(-9, 9), **given)[0]
        elif self.draw.random() < 0.5:
            told = session.call("void_event", idempotency_key=key, **given)[0]
        else:
            moment = datetime.now(UTC) - timedelta(days=self.draw.choice(_DAYS))
            told = session.call("amend_event", idempotency_key=key, at=moment, **given)[0]
        if told.correction_id is not None:
            self.corrections.append(told.correction_id)

    def stage(self, session: Ledger, subject: str) -> None:
        number = session.value("SELECT meter.open_correction('why')")
        moment = at("2026-02-03 04:05").isoformat()
        entry = {"entry": "adjust", "subject": subject, "metric": "sum", "quantity": 1, "at": moment}
        event = self.event(subject, "max") | {"entry": "record", "at": moment}
        session.call("stage_correction", id=number, entries=Jsonb([entry, event]))
        session.rows("SELECT FROM meter.approve_correction(%s)", [number])
        self.corrections.append(number)

    def revert(self, session: Ledger, subject: str) -> None:
        if self.corrections:
            session.value("SELECT meter.revert_correction(%s, 'no')", [self.corrections.pop()])


class Probe:
    """Records for a subject of its own, whose rows only watermarks lock; another metric hangs."""

    def __init__(self, dsn: str, load: Load) -> None:
        self.dsn, self.load = dsn, load

    def record(self, stopped: threading.Event) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            session = Ledger(connection)
            while not stopped.wait(0.002):
                begin = time.monotonic()
                session.record(PROBE, "sum", 1)
                self.load.longest_wait = max(self.load.longest_wait, time.monotonic() - begin)

    def hang(self, stopped: threading.Event) -> None:
        draw = random.Random(PROBE)
        with psycopg.connect(self.dsn) as connection:
            while not stopped.wait(draw.uniform(0, 1)):
                Ledger(connection).record(PROBE, "max", 1)
                stopped.wait(draw.uniform(0, 2))
                connection.commit()


def keep_up(dsn: str, stopped: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for call in itertools.cycle(("maintain()", "rebuild()")):
            if stopped.wait(1):
                return
            try:
                connection.execute(f"SELECT FROM meter.{call}".encode())
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                continue


def run_load(dsn: str, watermarks: int, *, subjects: int = 12, seed: int = 0, prepares: bool = False) -> Load:
    """Until so many watermarks were drawn, and every answer as of each was kept."""
    load = Load()
    begin = time.monotonic()
    stopped = threading.Event()
    names = [f"subject {n}" for n in range(subjects)]
    workers = [Worker(f"load{seed}-{n}", dsn, names, load, prepares=prepares) for n in range(SESSIONS)]
    probe = Probe(dsn, load)
    runs: list[Callable[[threading.Event], None]] = [worker.run for worker in workers]
    runs += [probe.record, probe.hang, lambda event: keep_up(dsn, event)]
    tasks = [Task(lambda run=run: run(stopped)) for run in runs]  # type: ignore[misc]
    draw = random.Random(seed)
    try:
        with psycopg.connect(dsn, autocommit=True, application_name="drawer") as connection:
            session = Ledger(connection)
            while len(load.remembered) < watermarks:
                assert all(task.running for task in tasks), [t.error() for t in tasks if not t.running]
                subject = draw.choice([*names, PROBE])
                drawing = time.monotonic()
                try:
                    drawn = session.value("SELECT meter.watermark(%s)", [subject])
                except psycopg.errors.LockNotAvailable:
                    load.gave_up += 1
                    continue
                finally:
                    load.longest_draw = max(load.longest_draw, time.monotonic() - drawing)
                try:
                    load.remembered.append(remember(session, subject, drawn, days_since=_SINCE))
                except psycopg.errors.SerializationFailure:
                    load.refused["40001 of a reader"] += 1
    finally:
        stopped.set()
        for task in tasks:
            task.result()
    load.seconds = time.monotonic() - begin
    return load


def assert_all_still_so(dsn: str, remembered: list[Remembered]) -> None:
    """From two sessions: that is how many processors there are."""

    def check(part: list[Remembered]) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for one in part:
                assert_still_so(Ledger(connection), one, days_since=_SINCE)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(check, [remembered[n::2] for n in range(2)]))

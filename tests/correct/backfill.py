"""A month of one subject is replaced while the subject records on: how long it takes, and who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at

MONTH, NEXT = at("2026-03-01"), at("2026-04-01")
_PIECE = 5_000
_MEMBERS = 1_000


@dataclass
class Backfill:
    """What it took; in seconds."""

    events: int
    how: str
    aggregate: str
    seconds: dict[str, float] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)  # the longest record(), by what went on meanwhile
    recorded: int = 0

    @property
    def longest_wait(self) -> float:
        return max(self.waits.values())


class Recorder:
    """Records for the subject all the time: now, and into the month that is replaced."""

    def __init__(self, ledger: Ledger, aggregate: str) -> None:
        self.ledger = ledger
        self.aggregate = aggregate
        self.meanwhile = "nothing"
        self.waits: dict[str, float] = {}
        self.recorded = {"now": 0, "month": 0}
        self._stop = threading.Event()
        self._task = Task(self._record)

    def _record(self) -> None:
        number = 0
        while not self._stop.wait(0.002):
            number += 1
            meanwhile = self.meanwhile
            late = number % 2 == 0
            event = payload(self.aggregate, 1) | ({"at": MONTH + timedelta(days=14)} if late else {})
            started = time.monotonic()
            assert self.ledger.record("a", "m", **event).outcome == "recorded"
            waited = time.monotonic() - started
            for during in {meanwhile, self.meanwhile}:
                self.waits[during] = max(waited, self.waits.get(during, 0))
            self.recorded["month" if late else "now"] += 1

    def stop(self) -> None:
        self._stop.set()
        self._task.result()


def payload(aggregate: str, n: int) -> dict[str, Any]:
    return {"member": f"user {n % _MEMBERS}"} if aggregate == "unique" else {"quantity": n}


def run_backfill(dsn: str, events: int, how: str = "replace", aggregate: str = "sum") -> Backfill:
    """``how``: replace (a window is voided, events are recorded anew) or amend (each event is changed)."""
    done = Backfill(events, how, aggregate)
    with ExitStack() as stack:
        ledger, writer = (
            Ledger(stack.enter_context(psycopg.connect(dsn, autocommit=True))) for _ in range(2)
        )
        ledger.define("m", aggregate)
        for piece in pieces(events, lambda n: event(n, aggregate, n + 1, "old")):
            assert {row.outcome for row in ledger.batch(piece)} == {"recorded"}
        ledger.maintain()
        ledger.execute("VACUUM ANALYZE")
        before = usage(ledger)
        assert before[1] == events
        recorder = Recorder(writer, aggregate)

        @contextmanager
        def timed(step: str) -> Iterator[None]:
            recorder.meanwhile = step
            started = time.monotonic()
            yield
            done.seconds[step] = time.monotonic() - started
            recorder.meanwhile = "nothing"

        try:
            time.sleep(0.3)
            number = ledger.value("SELECT meter.open_correction('measured twice')")
            with timed("stage"):
                entries = stage(ledger, number, events, how, aggregate)
            with timed("preview"):
                preview = ledger.call("preview_correction", id=number)
            with timed("approve"):
                approved = ledger.call("approve_correction", id=number)
            recorder.meanwhile = "check"
            if aggregate in ("sum", "count"):
                assert [row.delta for row in approved] == [row.delta for row in preview]
            outcomes = ledger.rows(
                "SELECT outcome, count(*)::int AS n FROM meter.correction_entries"
                " WHERE correction_id = %s GROUP BY 1",
                [number],
            )
            assert entries >= (2 * events if how == "replace" else events)
            assert [(row.outcome, row.n) for row in outcomes] == [("applied", entries)]
            assert ledger.verify(subject="a") == []
            with timed("revert"):
                ledger.value("SELECT meter.revert_correction(%s, 'it was right')", [number])
        finally:
            recorder.stop()
        done.waits, done.recorded = recorder.waits, sum(recorder.recorded.values())
        late = recorder.recorded["month"]
        assert usage(ledger)[1] == events + late
        expected = {"sum": before[0] + late, "max": before[0], "unique": before[0]}[aggregate]
        assert usage(ledger)[0] == expected
        assert ledger.verify() == []
        assert ledger.rebuild() == 0
    return done


def usage(ledger: Ledger) -> tuple[Any, int]:
    used = ledger.usage("a", "m", since=MONTH, until=NEXT)
    return used.quantity, used.event_count


def event(number: int, aggregate: str, n: int, prefix: str) -> dict[str, Any]:
    """Over the whole month, in no order of time."""
    seconds = number * 7919 % (31 * 86_400)
    return {
        "subject": "a",
        "metric": "m",
        "at": (MONTH + timedelta(seconds=seconds)).isoformat(),
        "idempotency_key": f"{prefix}-{number}",
        **payload(aggregate, n),
    }


def stage(ledger: Ledger, correction: int, events: int, how: str, aggregate: str) -> int:
    """How many entries there are: the window also has what the recorder has recorded."""
    whose = {"subject": "a", "metric": "m"}

    def replaced(n: int) -> dict[str, Any]:
        return {"entry": "record", **event(n, aggregate, n + 2, "new")}

    def amended(n: int) -> dict[str, Any]:
        return {"entry": "amend", **whose, "idempotency_key": f"old-{n}", **payload(aggregate, n + 2)}

    made: Iterator[list[dict[str, Any]]]
    if how == "replace":
        window = {"entry": "void", **whose, "since": MONTH.isoformat(), "until": NEXT.isoformat()}
        made = chain([[window]], pieces(events, replaced))
    else:
        made = pieces(events, amended)
    total = 0
    for piece in made:
        total = ledger.value("SELECT meter.stage_correction(%s, %s)", [correction, Jsonb(piece)])
    return total


def pieces(number: int, make: Callable[[int], dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, number, _PIECE):
        yield [make(n) for n in range(start, min(start + _PIECE, number))]

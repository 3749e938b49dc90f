"""P1, P2, P4: whatever is killed, what was acknowledged is there once, and a retry counts once."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.crashes import connect, run_round
from tests.faults.load import Figures, Journal, assert_exactly_once, define
from tests.faults.servers import Server
from tests.helpers import Ledger, Task

pytestmark = pytest.mark.slow

ROUNDS = [
    pytest.param(["postmaster", "client", "terminate"], id="a killed postmaster, clients and sessions"),
    pytest.param(["backend", "cancel", "everything"], id="a killed backend, then all processes at once"),
]


@pytest.mark.parametrize("kinds", ROUNDS)
def test_what_was_acknowledged_before_a_crash_is_there_exactly_once(
    durable_server: Server, durable_dsn: str, tmp_path: Path, kinds: list[str]
) -> None:
    with connect(durable_dsn, "test") as connection:
        define(connection)
    figures: Figures = run_round(
        durable_server, durable_dsn, Journal(), "-".join(kinds), kinds, tmp_path, seconds=2
    )
    assert_exactly_once(figures)
    assert figures.acknowledged > 100
    assert sum(figures.interruptions.values()) > 0, "nothing was interrupted: this tested nothing"


@pytest.mark.parametrize("everything", [False, True], ids=["the postmaster", "all processes"])
def test_p11_what_was_admitted_before_and_after_a_crash_is_within_the_quota(
    durable_server: Server, durable_dsn: str, everything: bool
) -> None:
    """What was told is there, and the rest of the quota is what is left."""
    quota, size = 20_000, 7
    with connect(durable_dsn, "test") as connection:
        ledger = Ledger(connection)
        ledger.define("tokens", "sum")
        ledger.call("set_limit", metric="tokens", quota=quota)
    stopped = threading.Event()

    def record(number: int) -> int:
        told = 0
        try:
            with connect(durable_dsn, f"writer {number}") as own:
                while not stopped.is_set():
                    subject = "ab"[number % 2]
                    told += Ledger(own).record(subject, "tokens", size).outcome == "recorded"
        except psycopg.OperationalError:
            pass
        return told

    tasks = [Task(lambda n=n: record(n)) for n in range(8)]  # type: ignore[misc]
    time.sleep(1)
    durable_server.kill(everything=everything)
    stopped.set()
    told = sum(task.result() for task in tasks)
    durable_server.bring_back()
    with connect(durable_dsn, "judge") as connection:
        ledger = Ledger(connection)
        kept = sum(ledger.usage(subject, "tokens").event_count for subject in "ab")
        assert 0 < told <= kept <= told + len(tasks)
        for subject in "ab":
            while ledger.record(subject, "tokens", size).outcome == "recorded":
                pass
            answer = ledger.usage(subject, "tokens")
            assert answer.event_count == quota // size
            assert (answer.quantity, answer.event_count) == ledger.brute(subject, "tokens")
        assert ledger.verify() == []


@pytest.mark.parametrize("everything", [False, True], ids=["the postmaster", "all processes"])
def test_p11_reservations_survive_a_crash_at_any_step_and_are_settled_once(
    durable_server: Server, durable_dsn: str, everything: bool
) -> None:
    """Reserved, extended, settled, released: whatever was told is there; a retry of the rest counts once."""
    quota, size = 3_000, 7
    with connect(durable_dsn, "test") as connection:
        ledger = Ledger(connection)
        ledger.define("tokens", "sum")
        ledger.call("set_limit", metric="tokens", quota=quota)
    stopped = threading.Event()
    told: dict[str, tuple[str, Any]] = {}  # the key: the last step that was told, and the reservation

    def work(number: int) -> None:
        with suppress(psycopg.OperationalError), connect(durable_dsn, f"writer {number}") as own:
            session = Ledger(own)
            for turn in itertools.count():
                if stopped.is_set():
                    return
                key, named = f"{number}-{turn}", {"subject": "ab"[number % 2], "metric": "tokens"}
                held = session.call("reserve", **named, quantity=size, idempotency_key=key)[0]
                told[key] = (held.outcome, held)
                if held.outcome == "refused":
                    continue
                if turn % 3 == 0:
                    session.call("extend", reservation_id=held.reservation_id)
                if turn % 4 == 3:
                    session.call("release", reservation_id=held.reservation_id)
                    told[key] = ("released", held)
                elif turn % 4:
                    session.call("settle", reservation_id=held.reservation_id, quantity=size - turn % 3)
                    told[key] = ("settled", held)

    tasks = [Task(lambda n=n: work(n)) for n in range(8)]  # type: ignore[misc]
    time.sleep(0.7)
    durable_server.kill(everything=everything)
    stopped.set()
    for task in tasks:
        task.result()
    durable_server.bring_back()
    with connect(durable_dsn, "judge") as connection:
        ledger = Ledger(connection)
        kept = {r.idempotency_key: r for r in ledger.call("reservations", max_rows=10_000)}
        admitted = {key for key, (outcome, _) in told.items() if outcome != "refused"}
        assert admitted <= kept.keys()
        assert len(kept.keys() - admitted) <= len(tasks)
        assert {step for step, _ in told.values()} >= {"held", "settled", "released"}
        for key in admitted:
            step, held = told[key]
            assert kept[key].reservation_id == held.reservation_id
            assert step == "held" or kept[key].state == step
        for subject in "ab":
            status = ledger.call("check_quota", subject=subject, metric="tokens")[0]
            assert (status.overrun, status.used + status.held <= quota) == (0, True)
        for key, row in kept.items():
            number, turn = map(int, str(key).split("-"))
            again = ledger.call(
                "reserve", subject=row.subject, metric="tokens", quantity=size, idempotency_key=key
            )[0]
            assert (again.outcome, again.reservation_id) == ("duplicate", row.reservation_id)
            quantity = row.settled_quantity if row.state == "settled" else size - turn % 3
            if row.state != "released":
                settled = ledger.call("settle", reservation_id=row.reservation_id, quantity=quantity)[0]
                assert settled.outcome == ("duplicate" if row.state == "settled" else "recorded"), number
        for subject in "ab":
            answer = ledger.usage(subject, "tokens")
            events = [r for r in kept.values() if r.subject == subject and r.state != "released"]
            assert answer.event_count == len(events)
            assert (answer.quantity, answer.event_count) == ledger.brute(subject, "tokens")
            status = ledger.call("check_quota", subject=subject, metric="tokens")[0]
            assert (status.held, status.overrun) == (0, 0)
        assert ledger.verify() == []

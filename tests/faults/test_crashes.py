"""P1, P2, P4: whatever is killed, what was acknowledged is there once, and a retry counts once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

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

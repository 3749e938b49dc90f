"""What was planned, claimed or settled outlives a crash of the server, also without synchronous_commit."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.faults.servers import Server, new_server
from tests.helpers import Ledger, midnight
from tests.report.conftest import Journal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that writes nothing by itself that no commit waits for."""
    settings = {"wal_writer_delay": "10s", "checkpoint_timeout": "1h"}
    with new_server(settings=settings, directory=Path(tempfile.gettempdir())) as server:
        migrate(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres SET synchronous_commit = off")
        yield server


def _stop_the_writers(server: Server) -> None:
    """WAL writer, background writer and checkpointer: each could save what a commit did not wait for."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE backend_type IN ('walwriter', 'background writer', 'checkpointer')"
        ).fetchall()
    for (pid,) in rows:
        os.kill(pid, signal.SIGSTOP)


def _journal(server: Server) -> Journal:
    return Journal(Ledger(psycopg.connect(server.dsn, autocommit=True)), midnight(-1))


def _plan(journal: Journal) -> None:
    assert journal.plan() == 1


def _claim(journal: Journal) -> None:
    assert len(journal.claim()) == 1


def _settle(journal: Journal) -> None:
    journal.settle(journal.claim(), "rejected")


def _retry(journal: Journal) -> None:
    assert journal.retry()


def _adopt(journal: Journal) -> None:
    journal.ledger.call("adopt_journal", now=journal.now, force=True)


STEPS: list[tuple[str, Callable[[Journal], None], list[Callable[[Journal], None]], Any]] = [
    ("plan", _plan, [], ["planned"]),
    ("claim", _claim, [_plan], ["sending"]),
    ("settle", _settle, [_plan], ["rejected"]),
    ("retry", _retry, [_plan, _settle], ["replaced", "planned"]),
    ("adopt", _adopt, [_plan], ["planned"]),
]


@pytest.mark.parametrize(("name", "step", "before", "states"), STEPS, ids=[step[0] for step in STEPS])
def test_a_step_that_returned_is_there_after_a_crash(
    server: Server, name: str, step: Callable[[Journal], None], before: Any, states: list[str]
) -> None:
    """Otherwise what was sent is forgotten, and planned again."""
    journal = _journal(server)
    journal.metric(name)
    journal.customer(name, f"cus_{name}")
    journal.record(70, subject=name, metric=name)
    for earlier in before:
        earlier(journal)
    # Whatever there is so far is on the disk; what the step does is not, unless its commit waits for it.
    journal.ledger.execute("CHECKPOINT")
    _stop_the_writers(server)
    try:
        step(journal)
        expected = journal.pushes(subject=name)
    finally:
        server.kill(everything=True)
        server.bring_back()
    after = _journal(server)
    found = after.pushes(subject=name)
    assert [push.state for push in found] == states
    assert [push.identifier for push in found] == [push.identifier for push in expected]
    if name == "adopt":
        assert after.ledger.value("SELECT adopted_at FROM meter.report_journals") is not None
    # Clear the way for the next step.
    after.ledger.execute("UPDATE meter.report_lanes SET wake_at = NULL, leased_until = NULL, worker = NULL")

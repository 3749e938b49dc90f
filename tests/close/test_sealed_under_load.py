"""Statements never change, and late usage adds up, under load and when the server is killed."""

from __future__ import annotations

import sys

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.close.load import Load, check, define, run_load
from tests.faults.servers import Server, new_database, new_server
from tests.helpers import Ledger

RECORDS = ("record_single", "record_refusing", "record_now", "record_batch")
ALL = (
    *RECORDS,
    *RECORDS,
    "correct",
    "correct",
    "correct",
    "close_period",
    "close_due",
    "decide",
    "decide",
    "set_late_usage",
    "watermark",
    "maintain",
)
SECONDS = 5.0
# Those who close give up after 300 milliseconds: they count on that.
AS_DELIVERED = {"deadlock_timeout": "1s"}


def run_sealed(server: Server, seconds: float, seed: int, kills: int) -> Load:
    """Eight sessions that do everything, on a new database; what they did, checked."""
    with new_database(server.dsn) as dsn:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            define(Ledger(connection))

        def kill() -> None:
            server.kill(everything=True)
            server.bring_back()

        sessions = {f"session_{n}": ALL for n in range(8)}
        load = run_load(dsn, sessions, seconds, seed, kill=kill, kills=kills)
        check(dsn, load)
    return load


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="servers are killed on Linux only")
def test_what_is_sealed_stays_sealed_while_eight_sessions_do_everything_and_the_server_is_killed() -> None:
    with new_server(settings=AS_DELIVERED) as server:
        load = run_sealed(server, SECONDS, 1, 1)
    assert load.snapshots > 0
    assert load.kills == 1
    for what in ("record_single", "record_batch", "correct", "close_period", "close_due", "decision settled"):
        assert load.done[what] > 0, load.done
    assert load.documents

"""Watermarks outlive crashes, restores and failovers, and wait for prepared transactions across a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.close.flights import FLIGHTS, prepare
from tests.close.survive import Archived, archived_server, survive
from tests.close.watermark_load import define, run_load
from tests.faults.servers import new_database
from tests.helpers import Ledger, refused

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archived() -> Iterator[Archived]:
    try:
        with archived_server(None) as server:
            yield server
    except NotImplementedError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("flight", ["ordinary", "a new stripe", "new series", "approval", "a new metric"])
def test_a_watermark_waits_for_a_prepared_transaction_also_after_a_restart(
    archived: Archived, flight: str
) -> None:
    with new_database(archived.server.dsn) as dsn:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            prepare(Ledger(connection))
        with closing(psycopg.connect(dsn)) as connection:
            connection.tpc_begin("recording")
            FLIGHTS[flight](Ledger(connection))
            connection.tpc_prepare()
        for _ in range(2):
            with psycopg.connect(dsn, autocommit=True) as connection:
                ledger = Ledger(connection)
                begin = time.monotonic()
                with refused("55P03"):
                    ledger.value("SELECT meter.watermark('a')")
                assert time.monotonic() - begin < 2
                assert ledger.record("b", "s", 1).outcome == "recorded"
            archived.server.kill(everything=True)
            archived.server.bring_back()
        with psycopg.connect(dsn, autocommit=True) as connection:
            ledger = Ledger(connection)
            ledger.execute("COMMIT PREPARED 'recording'")
            drawn = ledger.value("SELECT meter.watermark('a')")
            seen = {row.event_id for row in ledger.call("events", subject="a", as_of=drawn)}
            assert seen == {row.event_id for row in ledger.call("events", subject="a")}


def test_answers_survive_repairs_a_crash_a_restore_and_a_failover(archived: Archived) -> None:
    """It is the last test of this server."""
    with new_database(archived.server.dsn) as dsn:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            define(Ledger(connection))
        load = run_load(dsn, 8, subjects=3, prepares=True)
        survive(archived, dsn, load.remembered, lambda line: None)

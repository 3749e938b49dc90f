"""A period that is closed in a prepared transaction is told to the biller once that is committed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.credits.account import month
from tests.faults.servers import Server, new_database, new_server
from tests.helpers import Ledger, refused
from tests.report.bills import Bills


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        with new_server(None, settings={"max_prepared_transactions": "5"}) as server:
            yield server
    except NotImplementedError as error:
        pytest.skip(str(error))


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    with new_database(server.dsn) as dsn:
        migrate(dsn)
        yield dsn


def _bills(connection: psycopg.Connection[Any], *, define: bool) -> Bills:
    bills = Bills(Ledger(connection), define=define)
    bills.plan_of("EUR")
    for subject in ("acct_1", "acct_2", "acct_3"):
        bills.ledger.call("subscribe", subject=subject, plan="EUR", since=month(1))
        bills.use(3, subject)
    return bills


def _close_and_prepare(dsn: str, subject: str) -> None:
    with closing(psycopg.connect(dsn)) as connection:
        connection.tpc_begin(subject)
        Ledger(connection).call("close_period", subject=subject, since=month(6), until=month(7))
        connection.tpc_prepare()


def test_it_is_planned_after_its_commit_and_holds_up_no_other(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        bills = _bills(connection, define=True)
        bills.define(subject_is_customer=True)
        _close_and_prepare(dsn, "acct_1")
        _close_and_prepare(dsn, "acct_2")
        bills.close("acct_3")
        assert (bills.plan(), bills.plan()) == (1, 0)
        bills.ledger.execute("COMMIT PREPARED 'acct_1'")
        bills.ledger.execute("ROLLBACK PREPARED 'acct_2'")
        assert (bills.plan(), bills.plan()) == (1, 0)
        assert [push.subject for push in bills.pushes()] == ["acct_3", "acct_1"]


def test_no_biller_is_defined_past_it(dsn: str) -> None:
    """Whether it was closed before or after the definition would be open until it is committed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        bills = _bills(connection, define=False)
        _close_and_prepare(dsn, "acct_1")
        begin = time.monotonic()
        with refused("55P03"):
            bills.define(subject_is_customer=True, statements_since=month(1))
        assert time.monotonic() - begin < 10
        bills.close("acct_2")
        bills.ledger.execute("COMMIT PREPARED 'acct_1'")
        bills.define(subject_is_customer=True, statements_since=month(1))
        assert bills.plan() == 2
        assert bills.stated() == {("acct_1", "EUR"): 300, ("acct_2", "EUR"): 300}

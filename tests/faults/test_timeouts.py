"""P1, P2: a call that is ended by a timeout has counted nothing, and can be made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, Task

Connection = psycopg.Connection[Any]
EVENT = {"subject": "acct_1", "metric": "tokens", "quantity": 5, "idempotency_key": "key_1"}


@pytest.fixture
def other(ledger: Ledger, new_ledger: Callable[..., Ledger]) -> Ledger:
    """A session in whose open transaction ``key_1`` and the rollup that it counts in are taken."""
    ledger.define("tokens", "sum")
    other = new_ledger("other", autocommit=False)
    other.record(**EVENT)
    return other


@pytest.mark.parametrize(("setting", "sqlstate"), [("statement_timeout", "57014"), ("lock_timeout", "55P03")])
@pytest.mark.parametrize("batch", [False, True], ids=["record", "record_batch"])
@pytest.mark.parametrize("same_key", [False, True], ids=["waiting for a rollup", "waiting for a key"])
def test_a_call_that_waited_too_long_counts_nothing_until_it_is_made_again(
    ledger: Ledger, other: Ledger, setting: str, sqlstate: str, batch: bool, same_key: bool
) -> None:
    event = EVENT if same_key else EVENT | {"idempotency_key": "key_2"}

    def call() -> str:
        return str((ledger.batch([event])[0] if batch else ledger.record(**event)).outcome)

    before = ledger.state()
    ledger.execute(f"SET {setting} = '30ms'")
    with pytest.raises(psycopg.Error) as caught:
        call()
    assert caught.value.sqlstate == sqlstate
    assert ledger.state() == before

    other.connection.rollback()
    ledger.execute(f"SET {setting} = 0")
    assert call() == "recorded"
    assert call() == "duplicate"
    assert ledger.usage("acct_1", "tokens").quantity == 5
    assert ledger.verify() == []


def test_a_session_that_idles_in_its_transaction_is_ended_and_has_counted_nothing(
    ledger: Ledger, connect: Callable[..., Connection], wait_until_blocked: Callable[[Connection, str], None]
) -> None:
    """And whoever waited for its key records the event in its place."""
    ledger.define("tokens", "sum")
    idle = Ledger(connect("idle", autocommit=False))
    idle.record(**EVENT)
    waiter = Ledger(connect("waiter"))
    waiting = Task(lambda: waiter.record(**EVENT).outcome)
    wait_until_blocked(ledger.connection, "waiter")
    idle.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")

    assert waiting.result() == "recorded"
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        idle.connection.commit()
    assert ledger.usage("acct_1", "tokens").event_count == 1
    assert ledger.verify() == []


def test_a_transaction_that_takes_too_long_has_counted_nothing(
    ledger: Ledger, connect: Callable[..., Connection]
) -> None:
    if ledger.connection.info.server_version < 170000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    ledger.define("tokens", "sum")
    slow = psycopg.ClientCursor(connect("slow"))
    slow.execute("SET transaction_timeout = '20ms'")
    # At once, because a session that is ended between two statements may not come to say why.
    with pytest.raises(psycopg.Error) as caught:
        slow.execute(
            "BEGIN; SELECT meter.record(%(subject)s, %(metric)s, %(quantity)s,"
            " idempotency_key => %(idempotency_key)s); SELECT pg_sleep(5); COMMIT",
            EVENT,
        )
    assert caught.value.sqlstate == "25P04"
    assert ledger.usage("acct_1", "tokens").event_count == 0
    assert ledger.record(**EVENT).outcome == "recorded"


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_waiting_call_that_an_operator_ends_counts_nothing(
    ledger: Ledger,
    other: Ledger,
    connect: Callable[..., Connection],
    wait_until_blocked: Callable[[Connection, str], None],
    how: str,
) -> None:
    victim = connect("victim")
    waiting = Task(lambda: Ledger(victim).record(**EVENT))
    wait_until_blocked(ledger.connection, "victim")
    ledger.execute(f"SELECT {how}({victim.info.backend_pid})")
    error = waiting.error()
    assert error is not None
    assert error.sqlstate in ("57014", "57P01")
    other.connection.commit()
    assert ledger.record(**EVENT).outcome == "duplicate"
    assert ledger.usage("acct_1", "tokens").event_count == 1

"""Metrics that change beside statements: no definition makes a statement differ from the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.close.closing import AUGUST, JULY, JUNE, SEPTEMBER, assert_balanced, close, late, stated, use
from tests.helpers import Ledger, Task, at, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

SEATS: dict[str, Any] = {"key": "seats", "aggregate": "last", "unit": "seat"}


@pytest.fixture
def seats(ledger: Ledger) -> Ledger:
    """Five seats since May, without carry."""
    ledger.define(**SEATS)
    use(ledger, "a", "seats", 5, at("2026-05-10"), of="last")
    return ledger


def assert_consistent(ledger: Ledger) -> None:
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_carry_that_is_changed_while_a_period_is_closed(
    seats: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    """Who defines waits for the statement, and is refused if it has the metric."""
    closer, definer = new_ledger("closer", autocommit=False), new_ledger("definer")
    close(closer)
    defining = Task(lambda: definer.define(**SEATS, carry=True))
    wait_until_blocked(seats.connection, "definer")
    getattr(closer.connection, end)()
    error = defining.error()
    assert (error.sqlstate if error else None) == ("UM002" if end == "commit" else None)
    assert_consistent(seats)


def test_a_carry_that_is_not_committed_stops_who_closes(seats: Ledger, new_ledger: NewLedger) -> None:
    definer = new_ledger("definer", autocommit=False)
    definer.define(**SEATS, carry=True)
    with refused("55P03"):
        close(seats)
    definer.connection.commit()
    assert stated(seats, close(seats).statement_id) == {("usage", "seats"): 5}
    assert_consistent(seats)


def test_two_sessions_close_at_the_same_time(seats: Ledger, new_ledger: NewLedger) -> None:
    """What keeps definitions away keeps no other closer away."""
    closer = new_ledger("closer", autocommit=False)
    close(closer)
    close(seats, "b")
    closer.connection.commit()
    assert_consistent(seats)


def test_a_metric_with_carry_is_not_brought_back_into_closed_periods(ledger: Ledger) -> None:
    """It would be billed for periods that were closed without it, though nothing was recorded."""
    ledger.define(**SEATS, carry=True)
    ledger.define("last", "last")
    use(ledger, "a", "seats", 5, at("2026-05-10"), of="last")
    for key in ("seats", "last"):
        ledger.call("retire_metric", key=key)
    retired = ledger.value("SELECT retired_at FROM meter.metrics WHERE key = 'seats'")
    close(ledger)
    # A period that began before: the value is in it, and stays.
    ledger.define(**SEATS, carry=True)
    assert late(ledger, subject="a") == {}
    ledger.call("retire_metric", key="seats")
    ahead = retired.replace(year=retired.year + 1, month=1, day=1)
    ledger.call(
        "close_period", subject="a", since=ahead, until=ahead.replace(month=2), now=ahead.replace(month=3)
    )
    with refused("UM002", "key"):
        ledger.define(**SEATS, carry=True)
    with refused("UM002"):
        ledger.define(**SEATS)
    ledger.define("last", "last")
    assert late(ledger, subject="a") == {} == late(ledger)
    assert_consistent(ledger)


@pytest.mark.parametrize("carry", [False, True])
def test_a_period_of_centuries_costs_nobody_more(ledger: Ledger, carry: bool) -> None:
    """A year with a digit less is enough. What came late is found before, in and after the log's months."""
    ledger.define(**SEATS, carry=carry)
    ledger.define("sum", "sum", max_future="100 years")
    use(ledger, "b", "sum", 1, at("2026-06-10"))
    now = at("9000-01-01")
    ancient = ledger.call("close_period", subject="a", since=at("0002-01-01"), until=JUNE, now=now)[0]
    recent = close(ledger, since=JULY)
    coming = ledger.call("close_period", subject="a", since=SEPTEMBER, until=at("8999-01-01"), now=now)[0]
    for moment in (
        at("1975-03-01"),
        at("2026-05-31 23:59:59"),
        at("2026-07-05"),
        at("2026-09-01"),
        at("2080-01-01"),
    ):
        use(ledger, "a", "sum", 1, moment)
    use(ledger, "a", "sum", 1, at("2026-08-05"))
    started = time.monotonic()
    found = late(ledger)
    assert time.monotonic() - started < 5
    assert found == {
        (ancient.statement_id, "sum"): 2,
        (recent.statement_id, "sum"): 1,
        (coming.statement_id, "sum"): 2,
    }
    assert found == late(ledger, subject="a")
    assert late(ledger, since=JULY, until=AUGUST) == {(recent.statement_id, "sum"): 1}
    assert late(ledger, since=at("1975-01-01"), until=at("1976-01-01")) == {(ancient.statement_id, "sum"): 2}
    assert_consistent(ledger)

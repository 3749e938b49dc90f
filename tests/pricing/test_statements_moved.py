"""Late usage that changes what a period costs, but no quantity: it is shown, decided and billed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.close.closing import assert_balanced
from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, unit
from tests.pricing.closings import AUGUST, JULY, close, columns, lines, preview, total_of

Move = Callable[[Billing], None]
MATRIX = {
    "model": "matrix",
    "dimensions": ["model"],
    "cells": [
        {"when": {"model": "large"}, "unit_amount": "3"},
        {"when": {"model": "small"}, "unit_amount": "1"},
    ],
}
EVENTS = {"model": "percentage", "percent": "1", "fixed_amount": "0.5"}


def sum_of_two_prices(billing: Billing) -> None:
    """10 at 1, of which 4 are moved to the half of the month in which the price is 3."""
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("3"), since="2026-06-16")
    billing.use(10, "2026-06-10")


def move_sum(billing: Billing) -> None:
    for quantity, moment in ((-4, "2026-06-10"), (4, "2026-06-20")):
        billing.ledger.call(
            "adjust", subject=SUBJECT, metric="tokens", quantity=quantity, at=at(moment), reason="why"
        )


def max_of_two_prices(billing: Billing) -> None:
    """The greatest value is of the other half, and stays."""
    billing.price("seats", unit("2"), since="2026-06-16")
    billing.use(700, "2026-06-10", "seats")
    billing.use(10, "2026-06-20", "seats")


def move_max(billing: Billing) -> None:
    billing.use(40, "2026-06-21", "seats")


def matrix(billing: Billing) -> None:
    billing.price("tokens", MATRIX)
    billing.use(4, metadata={"model": "small"}, idempotency_key="k")


def move_matrix(billing: Billing) -> None:
    billing.ledger.rows(
        "SELECT * FROM meter.amend_event(%s, 'tokens', idempotency_key => 'k', reason => 'why',"
        ' metadata => \'{"model": "large"}\')',
        [SUBJECT],
    )


def events(billing: Billing) -> None:
    billing.price("tokens", EVENTS)
    billing.use(100)


def move_events(billing: Billing) -> None:
    billing.use(0)


CASES: dict[str, tuple[Move, Move, Decimal]] = {
    "a sum between two prices": (sum_of_two_prices, move_sum, Decimal("8")),
    "a max beside a greater one": (max_of_two_prices, move_max, Decimal("30")),
    "a combination of a matrix": (matrix, move_matrix, Decimal("8")),
    "an event without a quantity": (events, move_events, Decimal("0.5")),
}


@pytest.fixture
def moved(request: pytest.FixtureRequest, ledger: Ledger) -> Any:
    """June is closed; then usage is moved. (billing, amount, move)."""
    before, move, amount = CASES[request.param]
    billing = Billing(ledger, metrics={"tokens": "sum", "seats": "max"})
    before(billing)
    close(ledger)
    assert ledger.call("late_usage", subject=SUBJECT) == []
    move(billing)
    return billing, amount


@pytest.mark.parametrize("moved", CASES, indirect=True)
@pytest.mark.parametrize("decision", ["bill", "waive"])
def test_what_has_moved_is_shown_and_decided(moved: Any, decision: str) -> None:
    billing, amount = moved
    ledger = billing.ledger
    (line,) = ledger.call("late_usage", subject=SUBJECT)
    assert (line.delta, line.amount) == (0, amount)
    assert ledger.call("late_usage") == [line]
    for outcome in ("settled", "settled"):
        done = ledger.call(
            "settle_late_usage", statement_id=1, metric=line.metric, delta=0, decision=decision
        )[0]
        assert (done.outcome, done.billed, done.waived) == (outcome, 0, 0)
        assert ledger.call("late_usage", subject=SUBJECT) == []
    assert ledger.value("SELECT count(*) FROM meter.late_decisions") == 1
    waiting = columns(preview(ledger, JULY))
    second = close(ledger, JULY)
    assert columns(lines(ledger, second.statement_id)) == waiting
    assert total_of(ledger, second.statement_id) == (line.amount if decision == "bill" else 0)
    assert total_of(ledger, close(ledger, AUGUST).statement_id) == 0
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("moved", CASES, indirect=True)
@pytest.mark.parametrize("setting", ["bill", "waive"])
def test_the_setting_decides_about_what_has_moved(moved: Any, setting: str) -> None:
    billing, amount = moved
    ledger = billing.ledger
    ledger.call("set_setting", name="late_usage", value=setting)
    waiting = columns(preview(ledger, JULY))
    second = close(ledger, JULY)
    assert columns(lines(ledger, second.statement_id)) == waiting
    found = total_of(ledger, second.statement_id)
    assert found == (amount if setting == "bill" else 0)
    assert ledger.call("late_usage", subject=SUBJECT) == []
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("moved", ["a sum between two prices"], indirect=True)
def test_what_was_waived_as_moved_stays_waived(moved: Any) -> None:
    """4 of 10 stay at the first price, though they moved; 5 more cost 3 each, and no more."""
    billing, _ = moved
    ledger = billing.ledger
    for delta, decision in ((0, "waive"), (5, "bill")):
        done = ledger.call(
            "settle_late_usage", statement_id=1, metric="tokens", delta=delta, decision=decision
        )[0]
        assert done.outcome == "settled"
        if decision == "waive":
            billing.use(5, "2026-06-20")
    assert total_of(ledger, close(ledger, JULY).statement_id) == 15


def test_an_event_that_costs_nothing_is_not_late(billing: Billing) -> None:
    billing.price("tokens", {"model": "percentage", "percent": "1"})
    billing.use(100)
    close(billing.ledger)
    billing.use(0)
    assert billing.ledger.call("late_usage", subject=SUBJECT) == []

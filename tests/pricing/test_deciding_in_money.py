"""A decision about late usage bills what was seen: the amount that it says is what the next statement has."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger, Task, at
from tests.pricing.billing import MONTH, SUBJECT, Billing, unit

JULY = (at("2026-07-01"), at("2026-08-01"))


def close(ledger: Ledger, window: tuple[Any, Any] = MONTH) -> Any:
    (header,) = ledger.call("close_period", subject=SUBJECT, since=window[0], until=window[1])
    return header


def settle(ledger: Ledger, statement_id: int, delta: int, decision: str) -> Any:
    (done,) = ledger.call(
        "settle_late_usage", statement_id=statement_id, metric="tokens", delta=delta, decision=decision
    )
    return done


def late_amount(ledger: Ledger, header: Any) -> Decimal | None:
    lines = ledger.call("statement", statement_id=header.statement_id)
    return sum((line.amount for line in lines if line.kind == "late"), Decimal(0))


def test_usage_that_is_recorded_while_somebody_decides_is_not_billed_by_that_decision(
    billing: Billing, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    ledger = billing.ledger
    billing.price("tokens", unit(10))
    billing.use(5)
    june = close(ledger)
    billing.use(2)
    blocker, decider = new_ledger(autocommit=False), new_ledger("decider")
    # What is open can be read, but a decision cannot be written yet.
    blocker.connection.execute("LOCK TABLE meter.late_decisions IN SHARE MODE")
    decided = Task(lambda: settle(decider, june.statement_id, 2, "bill"))
    wait_until_blocked(ledger.connection, "decider")
    billing.use(3, "2026-06-11")
    blocker.connection.commit()
    assert decided.result().outcome == "settled"
    assert settle(ledger, june.statement_id, 3, "waive").outcome == "settled"
    assert late_amount(ledger, close(ledger, JULY)) == 20


@pytest.mark.parametrize(("decision", "said", "billed"), [("bill", 30, 30), ("waive", None, 0)])
def test_a_decision_says_what_it_adds_to_the_next_statement(
    billing: Billing, decision: str, said: int | None, billed: int
) -> None:
    ledger = billing.ledger
    billing.price("tokens", unit(10))
    billing.use(5)
    june = close(ledger)
    billing.use(3)
    (open_,) = ledger.call("late_usage", subject=SUBJECT)
    assert (open_.delta, open_.amount, open_.currency) == (3, 30, "USD")
    moved = settle(ledger, june.statement_id, 2, decision)
    assert (moved.outcome, moved.delta, moved.amount) == ("conflict", 3, None)
    done = settle(ledger, june.statement_id, 3, decision)
    assert (done.outcome, done.amount, done.currency) == ("settled", said, said and "USD")
    again = settle(ledger, june.statement_id, 3, decision)
    assert (again.outcome, again.amount) == ("duplicate", None)
    assert late_amount(ledger, close(ledger, JULY)) == billed


def test_what_only_takes_back_waived_usage_costs_nothing(billing: Billing) -> None:
    ledger = billing.ledger
    billing.price("tokens", unit(10))
    billing.use(5)
    june = close(ledger)
    billing.use(3, idempotency_key="late")
    settle(ledger, june.statement_id, 3, "waive")
    ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="late", reason="why")
    (open_,) = ledger.call("late_usage", subject=SUBJECT)
    assert (open_.delta, open_.amount, open_.currency) == (-3, 0, "USD")
    done = settle(ledger, june.statement_id, -3, "bill")
    assert (done.outcome, done.waived, done.amount, done.currency) == ("settled", 0, 0, "USD")
    assert late_amount(ledger, close(ledger, JULY)) == 0


def test_headers_and_closings_have_the_totals_of_their_statements(billing: Billing) -> None:
    ledger = billing.ledger
    billing.plan("euro")
    billing.price("tokens", unit(10))
    billing.price("tokens", unit(3, currency="EUR"), plan="euro")
    for subject, plan in ((SUBJECT, "pro"), ("acct_2", "euro")):
        if subject != SUBJECT:
            billing.subscribe(plan, "2020-01-01", subject=subject)
        ledger.record(subject, "tokens", 5, at=at("2026-06-10"))
    ledger.record("acct_3", "tokens", 5, at=at("2026-06-10"))
    want = {SUBJECT: {"USD": "50.00"}, "acct_2": {"EUR": "15.00"}, "acct_3": {}}
    done = ledger.call("close_due", now=at("2026-07-02"))
    assert {row.subject: row.totals for row in done} == want
    assert {row.subject: row.totals for row in ledger.call("statements")} == want
    assert close(ledger).totals == want[SUBJECT]


def test_a_total_that_is_unknown_is_null_in_the_header(billing: Billing) -> None:
    cells = [{"when": {"size": "large"}, "unit_amount": 3}]
    billing.price("tokens", {"model": "matrix", "dimensions": ["size"], "cells": cells})
    billing.use(5, metadata={"size": "small"})
    assert close(billing.ledger).totals == {"USD": None}

"""Statements with amounts after months of the log were dropped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.close.closing import assert_balanced
from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, unit
from tests.pricing.closings import close, columns, late_lines, lines, preview, settle_all, total_of

JANUARY, FEBRUARY, MARCH, APRIL, MAY = (at(f"2026-{month:02}-01") for month in range(1, 6))
MATRIX = {"model": "matrix", "dimensions": ["m"], "cells": [{"when": {"m": "*"}, "unit_amount": "2"}]}


def drop(ledger: Ledger) -> None:
    """January, February and March of the log."""
    ledger.upkeep(keep="100 days")
    assert any(action == "dropped partition" for action, _ in ledger.upkeep(keep="100 days"))


@pytest.fixture
def kept(ledger: Ledger) -> Billing:
    """January: 5 tokens at 10, and 2 in a matrix; February begins. Another month has events, too."""
    billing = Billing(ledger, metrics={"tokens": "sum", "calls": "sum"})
    billing.price("tokens", unit("10"))
    billing.price("calls", MATRIX)
    billing.use(5, "2026-01-10")
    billing.use(2, "2026-01-10", "calls", metadata={"m": "x"})
    billing.use(1, "2026-02-10")
    close(ledger, JANUARY, FEBRUARY)
    return billing


def test_late_usage_that_was_not_decided_when_its_month_was_dropped_has_its_amount(kept: Billing) -> None:
    """The buckets say how much it is, and the price needs no more."""
    ledger = kept.ledger
    kept.use(3, "2026-01-20")
    drop(ledger)
    (line,) = ledger.call("late_usage", subject=SUBJECT)
    assert (line.delta, line.amount) == (3, 30)
    settle_all(ledger)
    waiting = columns(preview(ledger, FEBRUARY, MARCH))
    second = close(ledger, FEBRUARY, MARCH)
    assert columns(lines(ledger, second.statement_id)) == waiting
    assert late_lines(ledger, second.statement_id) == [(3, 10, 30)]
    third = close(ledger, MARCH, APRIL)
    assert late_lines(ledger, third.statement_id) == []
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []


def quantity_only(kept: Billing) -> None:
    kept.use(3, "2026-01-20", "calls", metadata={"m": "x"})
    drop(kept.ledger)
    (line,) = kept.ledger.call("late_usage", subject=SUBJECT)
    assert (line.delta, line.amount, line.currency) == (3, None, None)
    assert settle_all(kept.ledger) == 1


def test_what_needs_the_dropped_log_is_a_line_without_an_amount_and_is_billed_once(kept: Billing) -> None:
    ledger = kept.ledger
    quantity_only(kept)
    waiting = columns(preview(ledger, FEBRUARY, MARCH))
    second = close(ledger, FEBRUARY, MARCH)
    assert columns(lines(ledger, second.statement_id)) == waiting
    assert late_lines(ledger, second.statement_id) == [(3, None, None)]
    assert total_of(ledger, second.statement_id) == 10
    assert ledger.call("verify_statements") == []
    # Something else of January is late: only that is on the next statement.
    ledger.call("adjust", subject=SUBJECT, metric="tokens", quantity=1, at=at("2026-01-21"), reason="why")
    assert settle_all(ledger) == 1
    third = close(ledger, MARCH, APRIL)
    assert late_lines(ledger, third.statement_id) == [(1, 10, 10)]
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("change", [quantity_only, lambda kept: drop(kept.ledger)], ids=["late", "not late"])
def test_statements_of_dropped_months_are_read_as_before(
    kept: Billing, change: Callable[[Billing], None]
) -> None:
    ledger = kept.ledger
    before = columns(lines(ledger, 1))
    change(kept)
    assert columns(lines(ledger, 1)) == before == columns(preview(ledger, JANUARY, FEBRUARY))
    assert ledger.call("verify_statements") == []

"""Erasing a subject whose statements have amounts: its texts go, the statements and their hashes stay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import Billing, unit
from tests.pricing.closings import AUGUST, JULY, JUNE, close, columns, lines, settle_all

MARK = "zqxj"
WHO = f"{MARK}_subject"
MATRIX = {"model": "matrix", "dimensions": ["m"], "cells": [{"when": {"m": "*"}, "unit_amount": "2"}]}


@pytest.fixture
def erased(ledger: Ledger) -> Any:
    """A price of its own, two statements, late usage that is billed, waived and open. (before, ledger)."""
    billing = Billing(ledger, metrics={"tokens": "sum", "calls": "sum", "people": "unique"})
    billing.subscribe("pro", "2026-01-01", subject=WHO)
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("3"), subject=WHO)
    billing.price("people", unit("5"))
    billing.price("calls", MATRIX)
    for month in (JUNE, JULY):
        for number in range(2):
            more = {"at": month, "idempotency_key": f"{MARK}_key_{month}_{number}"}
            ledger.record(WHO, "tokens", 5, metadata={"m": f"{MARK}_metadata"}, **more)
            ledger.record(WHO, "calls", 5, metadata={"m": "x", "who": f"{MARK}_metadata"}, **more)
            ledger.record(WHO, "people", member=f"{MARK}_member_{number}", **more)
        close(ledger, month, subject=WHO)
        ledger.record(WHO, "tokens", 1, at=at("2026-06-05"))
        ledger.call(
            "settle_late_usage", statement_id=1, metric="tokens", delta=1, reason=f"{MARK}_reason",
            decision="bill" if month == JUNE else "waive",
        )  # fmt: skip
    ledger.record(WHO, "calls", 1, at=at("2026-06-05"), metadata={"m": "x"})
    before = [columns(lines(ledger, number)) for number in (1, 2)]
    assert found(ledger)
    ledger.call("erase_subject", subject=WHO, pseudonym="nobody")
    return before, ledger


def found(ledger: Ledger) -> dict[str, int]:
    """How many rows of each table have the mark."""
    tables = ledger.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'meter'::regnamespace AND relkind IN ('r', 'p')"
    )
    counts = {
        table: ledger.value(f"SELECT count(*) FROM meter.{table} t WHERE to_jsonb(t)::text ~ '{MARK}'")
        for (table,) in tables
    }
    return {table: count for table, count in counts.items() if count}


def test_nothing_of_the_subject_is_left_and_the_statements_stay(erased: Any) -> None:
    before, ledger = erased
    assert found(ledger) == {}
    assert [columns(lines(ledger, number)) for number in (1, 2)] == before
    assert ledger.call("verify_statements") == []


def test_late_usage_of_the_pseudonym_is_billed_at_the_prices_of_the_statements(erased: Any) -> None:
    _, ledger = erased
    (line,) = ledger.call("late_usage", subject="nobody")
    assert (line.metric, line.delta, line.amount) == ("calls", 1, 2)
    ledger.record("nobody", "tokens", 4, at=at("2026-06-06"))
    assert settle_all(ledger, subject="nobody") == 2
    third = close(ledger, AUGUST, subject="nobody")
    late = [line.amount for line in lines(ledger, third.statement_id) if line.kind == "late"]
    assert sorted(late) == [2, 12]
    assert ledger.call("verify_statements") == []
    assert ledger.call("verify") == []


def test_values_of_the_dimensions_of_a_matrix_stay_on_statements(ledger: Ledger) -> None:
    """They are a part of what was billed, and of the hash."""
    billing = Billing(ledger)
    billing.subscribe("pro", "2026-01-01", subject="someone")
    billing.price("tokens", MATRIX)
    ledger.record("someone", "tokens", 5, at=JUNE, metadata={"m": f"{MARK}_value"})
    close(ledger, subject="someone")
    ledger.call("erase_subject", subject="someone", pseudonym="nobody")
    assert set(found(ledger)) == {"statements", "statement_lines"}

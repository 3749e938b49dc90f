"""What credits pay, in which order, and what becomes of them when a statement is corrected."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.credits.account import SUBJECT, Account, month, of_kind, paid, total
from tests.helpers import Ledger, at


def test_a_credit_pays_what_it_has_and_the_rest_is_due(account: Account) -> None:
    account.use(30)
    one = account.grant(20)
    lines = account.close()
    assert paid(lines) == [(str(one.credit_id), -20, None)]
    assert total(lines) == 10
    assert (account.credits()[0].drawn, account.credits()[0].remaining) == (20, 0)


def test_what_is_left_pays_the_next_period(account: Account) -> None:
    one = account.grant(50)
    account.use(30, 6)
    account.use(30, 7)
    assert total(account.close(6)) == 0
    assert account.left(8) == [(one.credit_id, 20)]
    assert total(account.close(7)) == 10
    assert account.left(9) == [(one.credit_id, 0)]


def test_nothing_is_drawn_of_a_period_without_a_charge(account: Account) -> None:
    account.grant(50)
    lines = account.close()
    assert (paid(lines), total(lines)) == ([], 0)


ORDER: list[dict[str, Any]] = [
    {"priority": 10},
    {"expires_at": at("2026-08-01")},
    {"expires_at": at("2026-09-01"), "source": "promotional"},
    {"expires_at": at("2026-09-01"), "since": at("2026-02-01")},
    {"expires_at": at("2026-09-01"), "since": at("2026-03-01")},
    {"source": "promotional"},
    {},
    {},
    {"priority": 60, "expires_at": at("2026-07-10"), "source": "promotional"},
]


@pytest.mark.parametrize("backwards", [False, True])
def test_credits_are_drawn_by_priority_expiry_source_since_and_then_the_order_of_granting(
    account: Account, backwards: bool
) -> None:
    numbered = list(enumerate(ORDER))
    ids = {
        n: account.grant(1, **more).credit_id for n, more in (reversed(numbered) if backwards else numbered)
    }
    if backwards:
        ids[6], ids[7] = ids[7], ids[6]
    account.use(len(ORDER))
    assert [one.credit_id for one in account.credits()] == [ids[n] for n in range(len(ORDER))]
    assert [item for item, _, _ in paid(account.close())] == [str(ids[n]) for n in range(len(ORDER))]


@pytest.mark.parametrize(
    ("since", "expires_at", "pays"),
    [
        ("2026-06-30 23:59:59.999999", None, True),
        ("2026-07-01", None, False),
        ("2026-01-01", "2026-07-01", True),
        ("2026-01-01", "2026-06-30 23:59:59.999999", False),
    ],
)
def test_a_credit_pays_for_periods_at_whose_end_it_is_in_force(
    account: Account, since: str, expires_at: str | None, pays: bool
) -> None:
    account.use(30)
    account.grant(20, since=at(since), expires_at=None if expires_at is None else at(expires_at))
    assert len(account.credits()) == pays
    assert total(account.close()) == (10 if pays else 30)


def test_a_credit_pays_for_lines_of_its_currency(ledger: Ledger) -> None:
    account = Account(ledger, "JPY", "1.5")
    account.use(31)
    account.grant("20.50", currency="EUR")
    account.grant(20)
    lines = account.close()
    assert [line.amount for line in of_kind(lines, "usage", "credit")] == [47, -20]
    assert total(lines) == 27
    assert [(c.currency, c.remaining) for c in account.credits()] == [("EUR", Decimal("20.50")), ("JPY", 0)]


@pytest.mark.parametrize(("currency", "smallest"), [("JPY", "1"), ("EUR", "0.01"), ("KWD", "0.001")])
def test_the_smallest_unit_of_a_currency_is_drawn_exactly(
    ledger: Ledger, currency: str, smallest: str
) -> None:
    account = Account(ledger, currency, "0.0005")
    account.use(Decimal(smallest) * 3000 + 1)  # and a part that is rounded off
    account.grant(smallest)
    account.grant(smallest)
    lines = account.close()
    unit = Decimal(smallest)
    assert [line.amount for line in of_kind(lines, "credit")] == [-unit, -unit][: 2 if currency else 0]
    assert sum(line.amount for line in lines if line.kind != "total") == total(lines)
    assert total(lines) >= 0


def test_a_void_credit_pays_nothing_more_and_statements_stay(account: Account) -> None:
    one = account.grant(20)
    account.use(15, 6)
    account.use(15, 7)
    june = account.close(6)
    void = account.void(one.credit_id)
    assert (void.drawn, void.remaining, void.void_reason) == (15, 0, "a mistake")
    assert account.credits() == []
    assert [line.amount for line in account.invoice(6)] == [line.amount for line in june]
    assert total(account.close(7)) == 15
    assert account.problems() == []


def test_a_credit_that_comes_after_a_statement_does_not_change_it(account: Account) -> None:
    account.use(30)
    lines = account.close()
    one = account.grant(20)
    assert total(account.invoice(6)) == total(lines) == 30
    assert account.left() == [(one.credit_id, 20)]


def test_a_prepaid_credit_pays_the_true_up_of_a_minimum_and_does_not_lower_it(account: Account) -> None:
    """A commitment never lowers the bill: what is missing to it is due, whoever pays."""
    account.ledger.call("set_plan_minimum", plan="pro", amount=50)
    account.use(30)
    account.grant(45)
    lines = account.close(6)
    assert [line.amount for line in of_kind(lines, "usage", "true_up")] == [30, 20]
    assert total(lines) == 5
    account.use(70, 7)
    lines = account.close(7)
    assert [line.amount for line in of_kind(lines, "usage", "true_up")] == [70]
    assert total(lines) == 70


def test_late_usage_within_the_minimum_costs_nothing_and_gives_nothing_back(account: Account) -> None:
    account.ledger.call("set_plan_minimum", plan="pro", amount=50)
    one = account.grant(500)
    account.use(30)
    account.close(6)
    account.late(5)
    lines = account.close(7)
    assert [(line.kind, line.amount) for line in of_kind(lines, "late")] == [("late", 5), ("late", -5)]
    assert paid(lines) == [(str(one.credit_id), -50, None)]  # the minimum of July


def test_a_total_that_nobody_knows_draws_nothing(account: Account) -> None:
    cells = {"model": "matrix", "dimensions": ["model"], "cells": []}
    cells["cells"] = [{"when": {"model": "a"}, "unit_amount": "1"}]  # type: ignore[list-item]
    account.price("more", cells | {"currency": "EUR"}, metric="tokens")
    account.grant(20)
    account.use(5)
    lines = account.close()
    assert (paid(lines), total(lines)) == ([], None)


def test_a_subject_without_prices_keeps_its_credit(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    given = {"subject": SUBJECT, "amount": 5, "currency": "EUR", "idempotency_key": "k", "since": month(1)}
    ledger.call("grant_credit", **given)
    ledger.call("set_tax", subject=SUBJECT, percent=19)
    ledger.record(SUBJECT, "tokens", 3, at=at("2026-06-10"))
    header = ledger.call("close_period", subject=SUBJECT, since=month(6), until=month(7))[0]
    assert [line.kind for line in ledger.call("statement", statement_id=header.statement_id)] == ["usage"]
    (one,) = ledger.call("credits", subject=SUBJECT, at=month(7))
    assert one.remaining == 5


def test_credits_and_taxes_of_a_statement_are_no_fees_of_the_month_before(account: Account) -> None:
    """Months may be closed in any order, and a fee in advance is looked for in the next one's statement."""
    account.grant(20)
    account.tax(19, name="VAT")
    account.use(30, 7)
    account.close(7)
    assert [line.kind for line in account.invoice(6)] == ["usage", "tax", "total"]
    account.use(5, 6)
    assert total(account.close(6)) == Decimal("5.95")


def test_a_fee_in_advance_that_is_taken_off_becomes_a_credit(account: Account) -> None:
    account.price("base", {"model": "flat", "flat_amount": "10"}, bill="advance")
    account.close(6)
    account.ledger.call("retire_price", plan="pro", item="base", at=at("2026-07-01 00:00:01"))
    account.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=month(7))
    lines = account.close(7)
    assert paid(lines) == [(None, 10, None)]
    assert total(lines) == 0


def test_credit_that_was_recorded_ahead_of_the_clock_is_on_the_statement(account: Account) -> None:
    """As after a failover to a server whose clock is behind: the statement's watermark is later still."""
    account.use(30)
    account.grant(20)
    account.tax(10)
    for table in ("credits", "taxes"):
        account.ledger.execute(
            f"UPDATE meter.{table} SET recorded_at = clock_timestamp() + interval '1 hour'"
        )
    assert total(account.close()) == 11
    assert account.problems() == []

"""Draws, credits and their lines, changed past the guards: verify_statements() names them."""

from __future__ import annotations

import pytest

from tests.close.closing import without_guard
from tests.credits.account import SUBJECT, Account, month
from tests.helpers import refused


@pytest.fixture
def tampered(account: Account) -> Account:
    """Statement 1 drew 20 of credit 1 and 10 of credit 2; statement 2 gave 25 back and granted 5."""
    account.grant(20, priority=1)
    account.grant(10)
    account.use(35)
    account.close(6)
    account.late(-35)
    account.close(7)
    assert account.problems() == []
    return account


def named(account: Account, *changes: str) -> set[tuple[int | None, str | None, str | None]]:
    """(statement, stated, found) of the problems of kind credit, after the changes; there are no others."""
    without_guard(account.ledger, changes)
    rows = account.problems()
    assert {row.subject for row in rows} == {SUBJECT}
    assert {row.what for row in rows} == {"credit"}
    alone = account.ledger.call("verify_statements", subject=SUBJECT)
    assert alone == rows
    return {(row.statement_id, row.stated, row.found) for row in rows}


@pytest.mark.parametrize("table", ["credit_draws"])
@pytest.mark.parametrize("change", ["UPDATE {} SET amount = 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_draws_are_append_only_for_the_owner_too(tampered: Account, table: str, change: str) -> None:
    with refused("42501"):
        tampered.ledger.execute(change.format(f"meter.{table}"))


def test_a_draw_that_was_changed_is_named(tampered: Account) -> None:
    change = "UPDATE meter.credit_draws SET amount = 19 WHERE credit_id = 1 AND refund_of IS NULL"
    assert (1, "20 EUR of credit 1", "19 EUR of credit 1") in named(tampered, change)


def test_a_draw_that_was_removed_is_named(tampered: Account) -> None:
    change = "DELETE FROM meter.credit_draws WHERE credit_id = 2 AND refund_of IS NULL"
    assert (1, "10 EUR of credit 2", None) in named(tampered, change)


def test_what_was_given_back_and_is_not_there_any_more_is_named(tampered: Account) -> None:
    change = "DELETE FROM meter.credit_draws WHERE credit_id = 1 AND refund_of = 1"
    assert named(tampered, change) == {(2, "20 EUR back to credit 1, of statement 1", None)}


def test_a_draw_that_was_added_is_named(tampered: Account) -> None:
    change = "INSERT INTO meter.credit_draws (credit_id, statement_id, amount) VALUES (2, 2, 3)"
    assert named(tampered, change) == {(2, None, "3 EUR of credit 2")}


def test_a_draw_of_a_statement_that_there_is_not_is_named(tampered: Account) -> None:
    change = "INSERT INTO meter.credit_draws (credit_id, statement_id, amount) VALUES (2, 99, 3)"
    assert named(tampered, change) == {(99, None, "3 EUR of credit 2")}


def test_a_draw_that_was_doubled_is_named(tampered: Account) -> None:
    change = (
        "INSERT INTO meter.credit_draws (credit_id, statement_id, amount)"
        " SELECT credit_id, statement_id, amount FROM meter.credit_draws"
        " WHERE refund_of IS NULL AND credit_id = 2"
    )
    assert (1, "10 EUR of credit 2", "10 EUR of credit 2, 10 EUR of credit 2") in named(tampered, change)


@pytest.mark.parametrize(
    "change", ["refund_of = null", "refund_of = 2", "credit_id = 2", "statement_id = 1", "credit_id = 99"]
)
def test_a_draw_that_was_given_to_another_is_named(tampered: Account, change: str) -> None:
    assert named(tampered, f"UPDATE meter.credit_draws SET {change} WHERE credit_id = 1 AND refund_of = 1")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meter.credits SET amount = amount + 1 WHERE statement_id = 2",
        "UPDATE meter.credits SET currency = 'USD' WHERE statement_id = 2",
        "UPDATE meter.credits SET subject = 'acct_2' WHERE statement_id = 2",
        "DELETE FROM meter.credits WHERE statement_id = 2",
        "INSERT INTO meter.credits (recorded_at, since, statement_id, priority, subject, currency, source,"
        " recorded_by, amount) VALUES (now(), now(), 1, 50, 'acct_1', 'EUR', 'paid', 'x', 9)",
        "UPDATE meter.credits SET currency = 'USD' WHERE credit_id = 1",
        "UPDATE meter.credits SET subject = 'acct_2' WHERE credit_id = 1",
        "DELETE FROM meter.credits WHERE credit_id = 1",
    ],
)
def test_a_credit_that_does_not_fit_the_statements_is_named(tampered: Account, change: str) -> None:
    assert named(tampered, change)


def test_a_credit_of_which_more_was_drawn_than_there_was_is_named(account: Account) -> None:
    account.grant(20)
    account.use(15)
    account.close()
    change = "UPDATE meter.credits SET amount = 14 WHERE credit_id = 1"
    assert named(account, change) == {(1, "14 EUR of credit 1", "15 EUR drawn")}


@pytest.mark.parametrize(
    "change", ["amount = amount - 1", "item = '2'", "kind = 'fee'", "late_of = 1", "currency = 'USD'"]
)
def test_a_line_that_was_changed_is_named_by_its_hash(tampered: Account, change: str) -> None:
    where = "statement_id = 1 AND kind = 'credit' AND item = '1'"
    without_guard(tampered.ledger, [f"UPDATE meter.statement_lines SET {change} WHERE {where}"])
    assert {(row.statement_id, row.what) for row in tampered.problems()} >= {(1, "hash"), (1, "credit")}


def test_credits_of_others_are_not_named(tampered: Account) -> None:
    given = {"subject": "acct_2", "amount": 5, "currency": "EUR", "idempotency_key": "k", "since": month(1)}
    tampered.ledger.call("grant_credit", **given)
    without_guard(tampered.ledger, ["DELETE FROM meter.credit_draws"])
    assert tampered.ledger.call("verify_statements", subject="acct_2") == []
    assert len(tampered.ledger.call("verify_statements", subject=SUBJECT)) == 4

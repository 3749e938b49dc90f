"""What a statement gives back that costs less than nothing, and to whom."""

from __future__ import annotations

import pytest

from tests.credits.account import Account, month, of_kind, paid, total


def test_money_given_back_was_drawn_by_the_statement_that_is_corrected(account: Account) -> None:
    first, second = account.grant(20, priority=1), account.grant(20)
    account.use(30)
    account.close(6)
    account.late(-25)
    lines = account.close(7)
    assert paid(lines) == [(str(first.credit_id), 20, 1), (str(second.credit_id), 5, 1)]
    assert total(lines) == 0
    assert account.left() == [(first.credit_id, 20), (second.credit_id, 15)]
    assert account.problems() == []


def test_what_money_had_paid_becomes_a_credit(account: Account) -> None:
    one = account.grant(20)
    account.use(30)
    account.close(6)
    account.late(-30)
    lines = account.close(7)
    assert paid(lines) == [(str(one.credit_id), 20, 1), (None, 10, None)]
    new = account.credits(9)[-1]
    assert (new.amount, new.remaining, new.source, new.statement_id) == (10, 10, "paid", 2)
    assert (new.since, new.expires_at, new.priority) == (month(8), None, 50)
    account.use(35, 8)
    lines = account.close(8)
    assert paid(lines) == [(str(one.credit_id), -20, None), (str(new.credit_id), -10, None)]
    assert total(lines) == 5
    assert account.problems() == []


def test_what_is_given_back_is_given_back_once(account: Account) -> None:
    one = account.grant(20)
    account.use(20, 4)
    account.close(4)
    for number in (5, 6, 7):
        account.late(-5, 4)
        assert paid(account.close(number)) == [(str(one.credit_id), 5, 1)]
    account.late(-5, 4)
    account.late(25, 4)
    assert paid(account.close(8)) == [(str(one.credit_id), -15, None)]
    assert account.problems() == []
    account.late(-25, 4)
    # Of the draw for the first period 5 are left. What the late line of August took is no draw of that.
    assert paid(account.close(9)) == [(str(one.credit_id), 5, 1), (None, 20, None)]
    assert account.problems() == []


def test_what_is_given_back_does_not_change_later_late_lines(account: Account) -> None:
    """A line of kind credit has late_of, too, and is no usage."""
    account.grant(20)
    account.use(30)
    account.close(6)
    account.late(-25)
    account.close(7)
    account.late(1)
    (line,) = of_kind(account.invoice(8), "late")
    assert (line.quantity, line.amount) == (1, 1)
    assert account.problems() == []


def test_a_credit_gets_no_more_than_the_late_lines_of_its_statement_take_off(account: Account) -> None:
    """What money had paid in July does not go to the credit that had paid in June."""
    one = account.grant(20, expires_at=month(7), source="promotional")
    account.use(20, 6)
    account.use(20, 7)
    account.close(6)
    assert total(account.close(7)) == 20
    account.late(-1, 6)
    account.late(-10, 7)
    assert paid(account.close(8)) == [(str(one.credit_id), 1, 1), (None, 10, None)]
    assert account.problems() == []


def test_late_lines_that_add_something_give_nothing_back(account: Account) -> None:
    account.grant(20, expires_at=month(7))
    account.use(10, 6)
    account.use(20, 7)
    account.close(6)
    account.close(7)
    account.late(2, 6)
    account.late(-10, 7)
    assert paid(account.close(8)) == [(None, 8, None)]


@pytest.mark.parametrize("end", ["void", "expired"])
def test_what_goes_back_to_a_credit_that_has_ended_pays_nothing(account: Account, end: str) -> None:
    one = account.grant(20, expires_at=month(8) if end == "expired" else None)
    account.use(20)
    account.use(10, 8)
    account.close(6)
    if end == "void":
        account.void(one.credit_id)
    account.late(-20)
    assert paid(account.close(7)) == [(str(one.credit_id), 20, 1)]
    lines = account.close(8)
    assert (paid(lines), total(lines)) == ([], 10)
    assert account.problems() == []

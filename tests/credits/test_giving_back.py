"""What a statement gives back that costs less than nothing, and to whom."""

from __future__ import annotations

import pytest

from tests.credits.account import SUBJECT, Account, month, of_kind, paid, total


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


def test_a_fee_in_advance_that_a_gift_had_paid_goes_back_to_the_gift(account: Account) -> None:
    """30 in advance for July, of which 20 were a gift. The plan ends after 11 days: 10 are due."""
    gift = account.grant(20, source="promotional", expires_at=month(12))
    account.price("base", {"model": "flat", "flat_amount": "31"}, bill="advance", since=month(7))
    assert paid(account.close(6)) == [(str(gift.credit_id), -20, None)]
    account.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=month(7).replace(day=12))
    lines = account.close(7)
    assert [(line.kind, line.late_of, line.amount) for line in lines if line.item == "base"] == [
        ("fee", None, 11), ("fee", 1, -31)
    ]  # fmt: skip
    assert paid(lines) == [(str(gift.credit_id), 20, 1)]
    assert total(lines) == 0
    assert account.left() == [(gift.credit_id, 20)]
    assert account.problems() == []


def test_a_fee_in_advance_that_money_had_paid_becomes_a_credit(account: Account) -> None:
    account.price("base", {"model": "flat", "flat_amount": "31"}, bill="advance", since=month(7))
    account.close(6)
    gift = account.grant(5, source="promotional")
    account.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=month(7).replace(day=12))
    assert paid(account.close(7)) == [(None, 20, None)]
    assert account.left() == [(gift.credit_id, 5)]
    assert account.problems() == []


def test_a_fee_that_became_dearer_gives_nothing_back(account: Account) -> None:
    """July's fee of 31 is taken off for one of 41. What is given back is of April, which money had paid."""
    account.use(100, 4)
    account.close(4)
    account.price("base", {"model": "flat", "flat_amount": "31"}, bill="advance", since=month(7))
    gift = account.grant(31, source="promotional")
    assert paid(account.close(6)) == [(str(gift.credit_id), -31, None)]
    account.price("base", {"model": "flat", "flat_amount": "41"}, bill="advance", since=month(7))
    account.late(-100, 4)
    account.price("base", {"model": "flat", "flat_amount": "0"}, bill="advance", since=month(8))
    assert paid(account.close(7)) == [(None, 90, None)]
    assert account.left() == [(gift.credit_id, 0)]
    assert account.problems() == []

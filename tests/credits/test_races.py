"""Grants, voids and taxes against closing and each other, made by construction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.credits.account import SUBJECT, Account, month, of_kind, total
from tests.helpers import Ledger, Task, at, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

GRANT: dict[str, Any] = {
    "subject": SUBJECT,
    "amount": 20,
    "currency": "EUR",
    "idempotency_key": "raced",
    "since": month(1),
}
JUNE = {"subject": SUBJECT, "since": month(6), "until": month(7)}
ENDS = pytest.mark.parametrize("end", ["commit", "rollback"])


def change(ledger: Ledger, what: str, credit_id: int) -> Any:
    if what == "grant":
        return ledger.call("grant_credit", **GRANT)[0]
    if what == "void":
        return ledger.call("void_credit", credit_id=credit_id, reason="a mistake")[0]
    return ledger.call("set_tax", subject=SUBJECT, percent=10)[0]


# What June costs of 100, with a credit of 30, before and after the change.
AFTER = {"grant": (70, 50), "void": (70, 100), "tax": (70, 77)}


@ENDS
@pytest.mark.parametrize("what", AFTER)
def test_closing_does_not_pass_by_a_change_and_then_has_it(
    account: Account, new_ledger: NewLedger, what: str, end: str
) -> None:
    account.use(100)
    credit = account.grant(30, since=month(2))
    writer, closer = new_ledger("writer", autocommit=False), new_ledger("closer")
    change(writer, what, credit.credit_id)
    # It gives up at a lock that it waits for.
    with refused("55P03"):
        closer.call("close_period", **JUNE)
    getattr(writer.connection, end)()
    lines = account.close()
    assert total(lines) == AFTER[what][end == "commit"]
    assert account.problems() == []


@ENDS
@pytest.mark.parametrize("what", AFTER)
def test_a_change_waits_for_closing_and_is_of_the_next_period(
    account: Account, new_ledger: NewLedger, wait_until_blocked: Wait, what: str, end: str
) -> None:
    account.use(100)
    credit = account.grant(30, since=month(2))
    closer, writer = new_ledger("closer", autocommit=False), new_ledger("writer")
    (header,) = closer.call("close_period", **JUNE)
    waiting = Task(lambda: change(writer, what, credit.credit_id))
    wait_until_blocked(account.ledger.connection, "writer")
    getattr(closer.connection, end)()
    made = waiting.result()
    if end == "rollback":
        assert total(account.close()) == AFTER[what][1]
        return
    assert total(account.invoice(6)) == AFTER[what][0]
    assert total(account.invoice(6, as_of=header.watermark)) == AFTER[what][0]
    assert made.recorded_at > header.watermark or what == "void"
    if what == "void":
        assert (made.drawn, made.remaining) == (30, 0)
        assert made.voided_at > header.watermark
    assert account.problems() == []


@ENDS
def test_two_grants_with_one_key_are_one_credit(
    account: Account, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    (one,) = first.call("grant_credit", **GRANT)
    waiting = Task(lambda: second.call("grant_credit", **GRANT)[0])
    wait_until_blocked(account.ledger.connection, "second")
    getattr(first.connection, end)()
    other = waiting.result()
    assert (other.credit_id == one.credit_id) == (end == "commit")
    assert [(c.credit_id, c.remaining) for c in account.credits()] == [(other.credit_id, 20)]


def test_the_first_grant_of_a_subject_that_nobody_knows_can_be_raced_too(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    (one,) = first.call("grant_credit", **GRANT)
    waiting = Task(lambda: second.call("grant_credit", **GRANT | {"amount": 21})[0])
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    error = waiting.error()
    assert error is not None
    assert error.sqlstate == "UM005"
    assert ledger.call("credits", subject=SUBJECT, at=month(2)) == [one]


def test_two_voids_are_one(account: Account, new_ledger: NewLedger, wait_until_blocked: Wait) -> None:
    credit = account.grant(20)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    (one,) = first.call("void_credit", credit_id=credit.credit_id, reason="first")
    waiting = Task(lambda: second.call("void_credit", credit_id=credit.credit_id, reason="second")[0])
    wait_until_blocked(account.ledger.connection, "second")
    first.connection.commit()
    assert waiting.result() == one
    logged = [row.action for row in account.ledger.call("admin_log")]
    assert logged.count("void_credit") == 1


def test_a_void_that_waits_for_an_erasure_leaves_no_trace_of_the_name(
    account: Account, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    credit = account.grant(20)
    eraser, writer = new_ledger("eraser", autocommit=False), new_ledger("writer")
    eraser.call("erase_subject", subject=SUBJECT, pseudonym="erased_1")
    waiting = Task(lambda: writer.call("void_credit", credit_id=credit.credit_id, reason="why"))
    wait_until_blocked(account.ledger.connection, "writer")
    eraser.connection.commit()
    error = waiting.error()
    assert error is not None
    assert error.sqlstate == "55P03"
    assert account.ledger.value("SELECT count(*) FROM meter.sealed_subjects WHERE subject = 'acct_1'") == 0
    assert account.void(credit.credit_id).subject == "erased_1"


@pytest.mark.parametrize("what", ["grant", "tax"])
def test_other_subjects_do_not_wait(account: Account, new_ledger: NewLedger, what: str) -> None:
    writer = new_ledger("writer", autocommit=False)
    change(writer, what, 0)
    (one,) = account.ledger.call("grant_credit", **GRANT | {"subject": "acct_2"})
    assert one.remaining == 20
    account.ledger.call("set_tax", subject="acct_2", percent=1)
    writer.connection.rollback()
    assert of_kind(account.invoice(6), "tax") == []


def test_a_tax_without_a_time_holds_even_if_its_transaction_began_before_another_change(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    ledger.call("set_tax", subject="a", percent=5)
    old = new_ledger("old", autocommit=False)
    old.value("SELECT now()")
    ledger.call("set_tax", subject="a", percent=7)
    assert old.call("set_tax", subject="a", percent=19)[0].percent == 19
    old.connection.commit()
    assert [tax.percent for tax in ledger.call("taxes", subject="a", at=at("2100-01-01"))] == [19]

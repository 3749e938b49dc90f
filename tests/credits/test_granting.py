"""grant_credit, void_credit and credits: what they take, and what they say a second time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.credits.account import SUBJECT, Account, month, total
from tests.helpers import Ledger, at, refused

GIVEN: dict[str, Any] = {
    "subject": SUBJECT,
    "amount": Decimal("20.50"),
    "currency": "EUR",
    "idempotency_key": "k",
    "since": month(1),
}


def test_a_grant_returns_the_credit(ledger: Ledger) -> None:
    more = {"expires_at": month(12), "source": "promotional", "reason": "welcome", "priority": 7}
    (one,) = ledger.call("grant_credit", **GIVEN, **more)
    assert (one.subject, one.amount, one.drawn, one.remaining) == (
        SUBJECT,
        Decimal("20.5"),
        0,
        Decimal("20.5"),
    )
    assert (one.currency, one.source, one.priority, one.reason) == ("EUR", "promotional", 7, "welcome")
    assert (one.since, one.expires_at, one.idempotency_key) == (month(1), month(12), "k")
    assert (one.statement_id, one.voided_at, one.void_reason) == (None, None, None)
    assert ledger.call("credits", subject=SUBJECT, at=month(2)) == [one]
    logged = ledger.call("admin_log")[0]
    assert (logged.action, logged.object, logged.after["amount"]) == ("grant_credit", SUBJECT, 20.5)


def test_without_since_a_credit_is_in_force_from_now(ledger: Ledger) -> None:
    given = {name: value for name, value in GIVEN.items() if name != "since"}
    (one,) = ledger.call("grant_credit", **given)
    assert abs((one.since - one.recorded_at).total_seconds()) < 5
    assert ledger.call("credits", subject=SUBJECT) == [one]
    assert ledger.call("credits", subject=SUBJECT, at=one.since) == []
    assert ledger.call("grant_credit", **given) == [one]


@pytest.mark.parametrize(
    "other",
    [
        *(
            {"amount": 20},
            {"currency": "USD"},
            {"priority": 49},
            {"since": month(2)},
            {"expires_at": month(12)},
        ),
        *({"source": "promotional"}, {"reason": "more"}),
    ],
)
def test_a_key_stands_for_one_credit(ledger: Ledger, other: dict[str, Any]) -> None:
    (one,) = ledger.call("grant_credit", **GIVEN)
    assert ledger.call("grant_credit", **GIVEN | {"amount": Decimal("20.5000")}) == [one]
    with refused("UM005", "idempotency_key"):
        ledger.call("grant_credit", **GIVEN | other)
    assert ledger.call("credits", subject=SUBJECT, at=month(2)) == [one]
    assert len(ledger.call("admin_log")) == 1


def test_a_repetition_finds_the_credit_also_when_it_was_drawn_voided_or_has_expired(account: Account) -> None:
    one = account.grant(20, idempotency_key="k", since=None, expires_at=at("2099-01-01"))
    account.ledger.execute(
        "UPDATE meter.credits"
        " SET since = '2026-01-01Z', expires_at = '2026-07-01Z', recorded_at = '2026-01-01Z'"
    )
    account.use(15)
    account.close()
    account.void(one.credit_id)
    again = account.grant(20, idempotency_key="k", since=None, expires_at=month(7))
    assert (again.credit_id, again.drawn, again.remaining) == (one.credit_id, 15, 0)
    assert again.voided_at is not None


@pytest.mark.parametrize("other", ["acct_2", "ACCT_1"])
def test_keys_of_other_subjects_are_other_keys(ledger: Ledger, other: str) -> None:
    (one,) = ledger.call("grant_credit", **GIVEN)
    (two,) = ledger.call("grant_credit", **GIVEN | {"subject": other})
    assert one.credit_id != two.credit_id


def test_no_key_stands_in_the_way_of_a_statement(account: Account) -> None:
    """A statement whose total is negative grants a credit: it has no key."""
    for number in range(1, 4):
        account.grant(1, idempotency_key=f"statement {number} EUR", since=month(12))
    account.use(30)
    account.close(6)
    account.late(-30)
    account.close(7)
    (new,) = [one for one in account.credits(9) if one.statement_id is not None]
    assert (new.idempotency_key, new.amount) == (None, 30)
    assert account.void(new.credit_id).remaining == 0


@pytest.mark.parametrize(
    ("change", "sqlstate", "parameter"),
    [
        ({"subject": None}, "22004", "subject"),
        ({"subject": " "}, "22023", "subject"),
        ({"amount": None}, "22004", "amount"),
        ({"amount": 0}, "22023", "amount"),
        ({"amount": -1}, "22023", "amount"),
        ({"amount": Decimal("0.001")}, "22023", "amount"),
        ({"amount": Decimal("NaN")}, "22023", "amount"),
        ({"amount": Decimal("Infinity")}, "22023", "amount"),
        ({"amount": Decimal("1e50")}, "22023", "amount"),
        ({"currency": "JPY", "amount": Decimal("0.5")}, "22023", "amount"),
        ({"currency": None}, "22004", "currency"),
        ({"currency": "eur"}, "22023", "currency"),
        ({"currency": "XXX"}, "22023", "currency"),
        ({"idempotency_key": None}, "22004", "idempotency_key"),
        ({"idempotency_key": ""}, "22023", "idempotency_key"),
        ({"priority": None}, "22004", "priority"),
        ({"source": "gift"}, "22023", "source"),
        ({"source": None}, "22004", "source"),
        ({"reason": "x" * 1001}, "22023", "reason"),
        ({"since": "infinity"}, "22023", "since"),
        ({"expires_at": "infinity"}, "22023", "expires_at"),
        ({"expires_at": month(1)}, "22023", "expires_at"),
        ({"since": None, "expires_at": month(2)}, "22023", "expires_at"),
    ],
)
def test_a_bad_value_is_refused(
    ledger: Ledger, change: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        ledger.call("grant_credit", **GIVEN | change)
    assert ledger.call("credits", subject=SUBJECT, at=month(2)) == []


def test_a_credit_is_voided_once(ledger: Ledger) -> None:
    (one,) = ledger.call("grant_credit", **GIVEN)
    (void,) = ledger.call("void_credit", credit_id=one.credit_id, reason="a mistake")
    assert (void.remaining, void.void_reason, void.voided_at is None) == (0, "a mistake", False)
    assert ledger.call("void_credit", credit_id=one.credit_id, reason="again") == [void]
    assert [row.action for row in ledger.call("admin_log")] == ["void_credit", "grant_credit"]
    with refused("UM007", "credit_id"):
        ledger.call("void_credit", credit_id=one.credit_id + 100, reason="x")
    with refused("22004", "credit_id"):
        ledger.call("void_credit", credit_id=None, reason="x")
    with refused("22004", "reason"):
        ledger.call("void_credit", credit_id=one.credit_id, reason=None)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_is_refused(ledger: Ledger, level: str) -> None:
    (one,) = ledger.call("grant_credit", **GIVEN)
    for function, given in (
        ("grant_credit", GIVEN | {"idempotency_key": "other"}),
        ("void_credit", {"credit_id": one.credit_id, "reason": "x"}),
        ("set_tax", {"subject": SUBJECT, "percent": 19}),
    ):
        with refused("25001"), ledger.connection.transaction():
            ledger.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            ledger.call(function, **given)


def test_an_erased_subject_keeps_its_money(account: Account) -> None:
    account.use(30)
    account.grant(20, reason="for somebody")
    two = account.grant(50)
    account.tax(19, name="VAT")
    account.close(6)
    account.late(-30)
    account.close(7)
    before = account.left(8)
    account.ledger.call("erase_subject", subject=SUBJECT, pseudonym="erased_1")
    assert account.credits(8) == []
    found = account.ledger.call("credits", subject="erased_1", at=month(8))
    assert [(one.credit_id, one.remaining) for one in found] == before
    assert {one.reason for one in found if one.statement_id is None} == {None}
    assert account.problems() == []
    window = {"since": month(8), "until": month(9)}
    account.ledger.record("erased_1", "tokens", 40, at=month(8))
    header = account.ledger.call("close_period", subject="erased_1", **window)[0]
    assert total(account.ledger.call("statement", statement_id=header.statement_id)) == 0
    assert account.void(two.credit_id).subject == "erased_1"
    assert account.problems() == []

"""Taxes: of what is left after credits, added or contained, several at once, and as they change in time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.credits.account import SUBJECT, Account, month, of_kind, paid, taxed, total
from tests.helpers import Ledger, at, refused


def test_a_tax_is_added_to_what_is_left_after_credits(account: Account) -> None:
    account.use(100)
    account.grant(20)
    account.tax(19, name="VAT")
    lines = account.close()
    (tax,) = of_kind(lines, "tax")
    assert (tax.item, tax.quantity, tax.unit_amount, tax.amount) == (
        "VAT",
        80,
        Decimal("0.19"),
        Decimal("15.20"),
    )
    assert (tax.exact_amount, tax.explanation) == (Decimal("15.2"), "VAT 19% of 80")
    assert total(lines) == Decimal("95.20")


def test_an_inclusive_tax_is_shown_and_not_added(account: Account) -> None:
    account.use(119)
    account.tax(19, name="VAT", inclusive=True)
    lines = account.close()
    (tax,) = of_kind(lines, "tax")
    assert (tax.quantity, tax.amount) == (100, 0)
    assert tax.explanation == "VAT 19%, which the prices contain: 19.00 of 119"
    assert total(lines) == 119


def test_several_taxes_are_each_of_the_net_amount(account: Account) -> None:
    """10 % and 15 % are contained in 125, whose net amount is 100; 5 % are added to it."""
    account.use(125)
    account.tax(10, name="a", inclusive=True)
    account.tax(15, name="b", inclusive=True)
    account.tax(5, name="c")
    lines = account.close()
    assert taxed(lines) == [("a", 0), ("b", 0), ("c", 5)]
    assert {line.quantity for line in of_kind(lines, "tax")} == {100}
    assert total(lines) == 130


@pytest.mark.parametrize(
    ("currency", "unit_amount", "tax", "due"),
    [("JPY", "105", "10.5", "116"), ("EUR", "0.05", "0.01", "0.06"), ("KWD", "0.005", "0.001", "0.006")],
)
def test_a_tax_has_the_decimals_of_the_currency_half_away_from_zero(
    ledger: Ledger, currency: str, unit_amount: str, tax: str, due: str
) -> None:
    account = Account(ledger, currency, unit_amount)
    account.use(1)
    account.tax(10)
    lines = account.close()
    expected = Decimal(due) - Decimal(unit_amount)
    assert taxed(lines) == [("tax", expected)]
    assert expected >= Decimal(tax) > 0
    assert total(lines) == Decimal(due)


def test_of_nothing_a_tax_is_nothing(account: Account) -> None:
    account.use(20)
    account.grant(50)
    account.tax(19)
    assert taxed(account.close(6)) == [("tax", 0)]
    account.late(-20)
    lines = account.close(7)
    assert (taxed(lines), total(lines)) == ([("tax", 0)], 0)


def test_a_negative_total_has_no_negative_tax_and_the_credit_is_net(account: Account) -> None:
    """What was paid with tax comes back before tax, and then pays before tax."""
    account.tax(25)
    account.use(100)
    assert total(account.close(6)) == 125
    account.late(-100)
    lines = account.close(7)
    assert (paid(lines), taxed(lines), total(lines)) == ([(None, 100, None)], [("tax", 0)], 0)
    account.use(160, 8)
    assert total(account.close(8)) == 75


def test_late_usage_has_the_tax_of_the_statement_that_bills_it(account: Account) -> None:
    account.tax(20, name="VAT")
    account.tax(10, name="VAT", since=at("2026-06-30"))
    account.use(100, 5)
    assert taxed(account.close(5)) == [("VAT", 20)]
    account.late(50, 5)
    lines = account.close(6)
    assert [line.amount for line in of_kind(lines, "late")] == [50]
    assert (taxed(lines), total(lines)) == ([("VAT", 5)], 55)
    assert account.problems() == []


@pytest.mark.parametrize(
    ("since", "percent"), [("2026-06-30 23:59:59.999999", 10), ("2026-07-01", 20), ("2026-06-01", 10)]
)
def test_an_invoice_has_the_taxes_that_hold_when_its_period_ends(
    account: Account, since: str, percent: int
) -> None:
    account.tax(20)
    account.tax(10, since=at(since))
    account.use(100)
    assert taxed(account.close()) == [("tax", percent)]


def test_a_tax_ends_and_begins_again(account: Account) -> None:
    account.tax(20)
    account.tax(None, since=at("2026-06-15"))
    account.tax(7, since=at("2026-07-15"))
    for number, expected in ((5, [("tax", 20)]), (6, []), (7, [("tax", 7)])):
        account.use(100, number)
        assert taxed(account.close(number)) == expected
    assert [one.percent for one in account.ledger.call("taxes", subject=SUBJECT)] == [7]


def test_a_tax_that_is_set_later_does_not_change_a_statement(account: Account) -> None:
    account.use(100)
    before = account.close(6)
    account.tax(20)
    assert total(account.invoice(6)) == total(before) == 100
    account.use(100, 7)
    assert total(account.close(7)) == 120
    header = account.ledger.call("statements", subject=SUBJECT)[-1]
    assert header.since == month(6)
    assert total(account.invoice(6, as_of=header.watermark)) == 100


def test_the_first_version_holds_from_the_beginning_and_a_change_from_now(ledger: Ledger) -> None:
    given = {"subject": SUBJECT, "name": "VAT"}
    (first,) = ledger.call("set_tax", **given, percent=19)
    assert (first.since, first.percent, first.inclusive) == (None, 19, False)
    assert ledger.call("set_tax", **given, percent=Decimal("19.00")) == [first]
    (second,) = ledger.call("set_tax", **given, percent=20)
    assert second.since is not None
    assert ledger.call("taxes", subject=SUBJECT, at=month(2)) == [first]
    assert ledger.call("taxes", subject=SUBJECT, at=at("2099-01-01")) == [second]
    assert len(ledger.call("admin_log")) == 2


def test_a_period_has_the_version_that_was_recorded_last(account: Account) -> None:
    for percent in (10, 20, 10):
        account.tax(percent, since=month(6))
    account.use(100)
    assert taxed(account.close()) == [("tax", 10)]


@pytest.mark.parametrize(
    ("change", "sqlstate", "parameter"),
    [
        ({"subject": None}, "22004", "subject"),
        ({"subject": ""}, "22023", "subject"),
        ({"percent": -1}, "22023", "percent"),
        ({"percent": Decimal("1000.1")}, "22023", "percent"),
        ({"percent": Decimal("1e-21")}, "22023", "percent"),
        ({"percent": Decimal("NaN")}, "22023", "percent"),
        ({"percent": Decimal("Infinity")}, "22023", "percent"),
        ({"inclusive": None}, "22004", "inclusive"),
        ({"name": None}, "22004", "name"),
        ({"name": " "}, "22023", "name"),
        ({"name": "x" * 101}, "22023", "name"),
        ({"since": "infinity"}, "22023", "since"),
    ],
)
def test_a_bad_value_is_refused(
    ledger: Ledger, change: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        ledger.call("set_tax", **{"subject": SUBJECT, "percent": 19} | change)
    assert ledger.call("taxes", subject=SUBJECT) == []


@pytest.mark.parametrize("percent", ["0", "1000", "7.00000000000000000001"])
def test_any_share_is_exact(account: Account, percent: str) -> None:
    account.tax(percent)
    account.use(100)
    (tax,) = of_kind(account.close(), "tax")
    assert tax.exact_amount == Decimal(percent)

"""Credits and taxes at the command line, and an invoice that has them."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


@pytest.fixture(autouse=True)
def _plan(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    pymeter("plan", "define", "pro")
    price = '{"model": "unit", "unit_amount": "0.02", "currency": "EUR"}'
    pymeter("price", "define", "pro", "tokens", price, "-m", "tokens")
    pymeter("subscribe", "acct_1", "pro", "--since", "2020-01-01")
    pymeter("record", "acct_1", "tokens", "5000", "--at", "2026-06-10")


def test_a_credit_is_granted_listed_and_taken_back(pymeter: Run) -> None:
    assert pymeter("credit", "list", "acct_1").out == "no credit is in force\n"
    given = ("credit", "grant", "acct_1", "1200.50", "EUR", "--key", "k", "--since", "2026-01-01")
    ran = pymeter(*given)
    number = pymeter(*given, "--json").json["credit_id"]
    assert ran.out == f"✓ credit {number}: 1,200.5 EUR for acct_1 in 2026-01-01 → … UTC\n"
    other = pymeter(*given[:3], "7", *given[4:])
    assert (other.status, "[UM005]" in other.err) == (1, True)
    gift = ("credit", "grant", "acct_1", "5", "EUR", "-k", "gift", "--promotional", "--priority", "1")
    more = ("--reason", "sorry", "--expires", "2100-01-01", "--since", "2026-01-01", "--json")
    assert pymeter(*gift, *more).json["source"] == "promotional"
    rows = pymeter("credit", "list", "acct_1", "--json").json
    assert [(row["idempotency_key"], row["remaining"]) for row in rows] == [("gift", "5"), ("k", "1200.5")]
    shown = pymeter("credit", "list", "acct_1").out
    assert "1,200.5" in shown
    assert "sorry" in shown
    assert pymeter("credit", "list", "acct_1", "--csv").out.startswith("credit_id,subject,currency,")
    assert pymeter("credit", "list", "acct_1", "--at", "2025-05-01", "--json").json == []
    assert pymeter("credit", "void", str(number), "a mistake").out.endswith(": void\n")
    gone = pymeter("credit", "void", "99999", "a mistake")
    assert (gone.status, "[UM007]" in gone.err) == (1, True)
    assert pymeter("credit", "grant", "acct_1", "0", "EUR", "-k", "x").status == 2


def test_taxes_are_set_listed_and_ended(pymeter: Run) -> None:
    assert pymeter("tax", "list", "acct_1").out == "no taxes; begin with: pymeter tax set SUBJECT PERCENT\n"
    assert pymeter("tax", "set", "acct_1", "19.0", "--name", "VAT").out == (
        "✓ acct_1: VAT 19 %, from the beginning\n"
    )
    assert pymeter("tax", "set", "acct_1", "7", "--inclusive", "--since", "2026-06-01").out == (
        "✓ acct_1: tax 7 %, which prices contain, since 2026-06-01 UTC\n"
    )
    shown = " ".join(pymeter("tax", "list", "acct_1").out.split())
    assert (
        "VAT 19 no always tax 7 yes 2026-06-01" in shown or "tax 7 yes 2026-06-01 VAT 19 no always" in shown
    )
    assert pymeter("tax", "list", "acct_1", "--csv").out.startswith("subject,name,percent,")
    assert pymeter("tax", "set", "acct_1", "none", "--name", "VAT", "--since", "2026-07-01").out == (
        "✓ acct_1: VAT ends, since 2026-07-01 UTC\n"
    )
    assert [row["name"] for row in pymeter("tax", "list", "acct_1", "--json").json] == ["tax"]
    assert pymeter("tax", "set", "acct_1", "-1").status == 2


def test_an_invoice_has_subtotal_credits_tax_and_total_in_this_order(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    pymeter("credit", "grant", "acct_1", "20", "EUR", "-k", "k", "--since", "2026-01-01")
    pymeter("tax", "set", "acct_1", "19", "--name", "VAT")
    shown = pymeter("invoice", "acct_1", *JUNE).out
    assert max(map(len, shown.splitlines())) <= 80
    told = " ".join(shown.split())
    parts = [
        "tokens 5,000 token 0.02 100.00 EUR",
        "subtotal 100.00 EUR",
        "credit 1 -20.00 EUR paid credit 1: 0 of 20 left",
        "VAT 15.20 EUR VAT 19% of 80",
        "total 95.20 EUR",
    ]
    found = [told.find(part) for part in parts]
    assert found == sorted(found), shown
    assert found[0] >= 0, shown
    monkeypatch.setenv("COLUMNS", "40")
    narrow = " ".join(pymeter("invoice", "acct_1", *JUNE).out.split())
    assert "subtotal 100.00 EUR credit 1 paid credit 1: 0 of 20 left -20.00 EUR" in narrow


def test_without_credits_and_taxes_there_is_no_subtotal(pymeter: Run) -> None:
    assert "subtotal" not in pymeter("invoice", "acct_1", *JUNE).out


def test_the_words_of_a_list_are_whole_on_a_narrow_terminal(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--promotional", "--reason", "welcome", "--expires", "2027-01-01")
    pymeter("credit", "grant", "acct_1", "20", "EUR", "-k", "k", *given)
    for columns in (80, 100, 140):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = pymeter("credit", "list", "acct_1").out
        assert max(map(len, shown.splitlines())) <= columns
        for word in ("promotional", "welcome", "2027-01-01 00:00", "expires (UTC)", "priority"):
            assert word in shown, shown

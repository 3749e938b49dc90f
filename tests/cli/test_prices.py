"""Prices and invoices at the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

TIERS = '[{"up_to": 1000, "unit_amount": "0.01"}, {"up_to": null, "unit_amount": "0.002"}]'
TOKENS = f'{{"model": "graduated", "tiers": {TIERS}}}'
JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


@pytest.fixture(autouse=True)
def _plan(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    pymeter("plan", "define", "pro")
    pymeter("subscribe", "acct_1", "pro", "--since", "2026-06-16")


def test_a_price_is_defined_listed_and_ended(pymeter: Run) -> None:
    assert pymeter("price", "list").out == "no prices\n"
    given = ("price", "define", "pro", "tokens", TOKENS, "--metric", "tokens", "--name", "Tokens")
    version = pymeter(*given, "--json").json["price_version"]
    assert pymeter(*given).out == (
        f"✓ pro, tokens: graduated USD per tokens, from the beginning (version {version})\n"
    )
    fee = ("price", "define", "pro", "base", '{"model": "flat", "flat_amount": "20"}', "--bill", "advance")
    assert "flat 20 USD fee in advance" in pymeter(*fee).out
    shown = pymeter("price", "list", "pro").out
    assert all(word in shown for word in ("Tokens", "fee, advance", "the beginning"))
    assert [row["item"] for row in pymeter("price", "list", "--json").json] == ["base", "tokens"]
    assert pymeter("price", "list", "--csv").out.startswith("price_version,plan,item,")
    ended = pymeter("price", "retire", "pro", "base", "--at", "2026-07-01")
    assert "pro, base: ends, since 2026-07-01 00:00:00 UTC" in ended.out
    assert [row["item"] for row in pymeter("price", "list", "--at", "2026-08-01", "--json").json] == [
        "tokens"
    ]
    assert pymeter("price", "define", "pro", "base", "20").status == 2
    unknown = pymeter("price", "define", "max", "base", TOKENS)
    assert (unknown.status, "`pymeter plan define`" in unknown.err) == (1, True)


def test_an_invoice_is_a_table_that_a_customer_can_read(pymeter: Run) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens", "--name", "Tokens")
    pymeter(
        "price", "define", "pro", "base", '{"model": "flat", "flat_amount": "20"}', "--name", "Platform fee"
    )
    assert pymeter("price", "minimum", "pro", "100.00").out == "✓ pro: at least 100.00 USD\n"
    pymeter("record", "acct_1", "tokens", "5000", "--at", "2026-06-18")
    shown = pymeter("invoice", "acct_1", *JUNE).out
    lines = [line.split() for line in shown.splitlines()]
    assert ["Platform", "fee", "0.5", "20", "10.00", "USD"] in lines
    assert ["Tokens", "1,000", "token", "0.01", "10.00", "USD"] in lines
    assert ["Tokens", "4,000", "token", "0.002", "8.00", "USD"] in lines
    assert ["minimum", "of", "pro", "22.00", "USD"] in lines
    assert ["total", "50.00", "USD"] in lines
    assert "units 1001 to 5000: 4000 x 0.002" in shown
    document = pymeter("invoice", "acct_1", *JUNE, "--json").json
    assert document["totals"]["USD"]["amount"] == "50.00"
    assert document["header"]["subject"] == "acct_1"
    assert len(document["lines"]) == 4
    assert pymeter("invoice", "acct_1", *JUNE, "--csv").out.startswith("item,metric,kind,")


def test_usage_without_a_price_is_shown(pymeter: Run) -> None:
    pymeter("record", "acct_1", "tokens", "7", "--at", "2026-06-18")
    assert "no price" in pymeter("invoice", "acct_1", *JUNE).out
    assert pymeter("invoice", "acct_1", "--since", "2026-06-01").status == 2

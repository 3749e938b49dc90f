"""Budgets at the command line."""

from __future__ import annotations

from tests.cli.conftest import Run


def test_budgets_are_set_judged_shown_and_removed(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    pymeter("plan", "define", "pro")
    price = '{"model": "unit", "unit_amount": "1", "currency": "EUR"}'
    pymeter("price", "define", "pro", "tokens", price, "-m", "tokens")
    pymeter("subscribe", "acct_1", "pro", "--since", "2020-01-01")
    assert pymeter("budget", "list").out.startswith("no budgets")
    given = ("--subject", "acct_1", "--action", "block", "--mark", "50")
    said = pymeter("budget", "set", "100", "EUR", *given).out
    assert said.startswith("✓ acct_1: 100 EUR per cycle, then block, since")
    pymeter("budget", "set", "unlimited", "EUR", "--plan", "pro", "--period", "month")
    pymeter("record", "acct_1", "tokens", "120")
    assert pymeter("notify", "--once", "--json").json["budgets"] == 1
    assert pymeter("notify", "--once", "--json").json["budgets"] == 0
    shown = pymeter("budget", "status", "acct_1").out
    assert "████████████" in shown or "############" in shown
    assert "blocked" in shown
    cycle, month = pymeter("budget", "status", "acct_1", "--json").json
    assert (cycle["spent"], cycle["blocked"], cycle["reached"]) == ("120", True, ["50"])
    assert (month["amount"], month["source"], month["plan"]) == (None, "plan", "pro")
    assert len(pymeter("budget", "list", "--json").json) == 2
    assert pymeter("budget", "status", "acct_1", "--csv").out.startswith("currency,period,since,")
    assert "refused" in pymeter("record", "acct_1", "tokens", "1").out
    assert pymeter("budget", "remove", "EUR", "--subject", "acct_1").out.endswith(": ended\n")
    assert "refused" not in pymeter("record", "acct_1", "tokens", "1").out
    missing = pymeter("budget", "remove", "EUR", "--subject", "acct_1")
    assert (missing.status, "`pymeter budget list` lists them" in missing.err) == (1, True)

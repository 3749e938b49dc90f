"""Budgets at the command line."""

from __future__ import annotations

import pytest

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
    assert (cycle["spent"], cycle["blocked"], cycle["reached"]) == ("120.00", True, ["50"])
    assert (month["amount"], month["source"], month["plan"]) == (None, "plan", "pro")
    assert len(pymeter("budget", "list", "--json").json) == 2
    assert pymeter("budget", "status", "acct_1", "--csv").out.startswith("currency,period,since,")
    assert "refused" in pymeter("record", "acct_1", "tokens", "1").out
    assert pymeter("budget", "remove", "EUR", "--subject", "acct_1").out.endswith(": ended\n")
    assert "refused" not in pymeter("record", "acct_1", "tokens", "1").out
    missing = pymeter("budget", "remove", "EUR", "--subject", "acct_1")
    assert (missing.status, "`pymeter budget list` lists them" in missing.err) == (1, True)


def test_a_refusal_names_the_budget_and_the_next_step_until_a_credit_lifts_it(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pymeter("define", "tokens", "sum", "token")
    pymeter("plan", "define", "pro")
    pymeter(
        "price",
        "define",
        "pro",
        "tokens",
        '{"model": "unit", "unit_amount": "0.5", "currency": "EUR"}',
        "-m",
        "tokens",
    )
    pymeter("subscribe", "acct 1", "pro", "--since", "2020-01-01")
    pymeter("budget", "set", "50", "EUR", "--subject", "acct 1", "--action", "block")
    pymeter("record", "acct 1", "tokens", "101")
    assert "2 marks of budgets reached" in pymeter("notify", "--once").out
    for command in ("record", "reserve"):
        refused = pymeter(command, "acct 1", "tokens", "1")
        assert refused.status == 1
        assert "✗ refused: the budget in EUR is spent" in refused.out
        assert "pymeter budget status 'acct 1'" in refused.out
    monkeypatch.setenv("COLUMNS", "80")
    # Money has the decimals of its currency, and nothing is folded, also on a narrow terminal.
    (row,) = [
        line.split() for line in pymeter("budget", "status", "acct 1").out.splitlines() if "blocked" in line
    ]
    assert (row[0], row[3:]) == ("subject", ["50.50", "50", "EUR", "101", "blocked"])
    pymeter("credit", "grant", "acct 1", "30", "EUR", "--key", "lift")
    assert "2 marks of budgets cleared" in pymeter("notify", "--once").out
    assert pymeter("notify", "--once", "--json").json["budgets_cleared"] == 0
    assert pymeter("record", "acct 1", "tokens", "1").status == 0

"""Top-ups and balances at the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _metric(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token", "--period", "never")


def test_a_top_up_is_given_listed_and_taken_back(pymeter: Run) -> None:
    assert pymeter("top-up", "list", "acct_1", "tokens").out == "no top-up is active\n"
    given = ("top-up", "add", "acct_1", "tokens", "1200.50", "--key", "invoice_17", "--since", "2026-06-01")
    ran = pymeter(*given)
    number = pymeter(*given, "--json").json["top_up_id"]
    assert ran.out == f"✓ top-up {number}: 1,200.5 tokens for acct_1 in 2026-06-01 → … UTC\n"
    other = pymeter(*given[:4], "7", *given[5:])
    assert (other.status, "[UM005]" in other.err) == (1, True)
    promotional = ("top-up", "add", "acct_1", "tokens", "5", "-k", "gift", "--promotional", "--priority", "1")
    assert pymeter(*promotional, "--reason", "sorry", "--expires", "2100-01-01", "--json").json["source"] == (
        "promotional"
    )
    rows = pymeter("top-up", "list", "acct_1", "tokens", "--json").json
    assert [(row["idempotency_key"], row["remaining"]) for row in rows] == [
        ("gift", "5"),
        ("invoice_17", "1200.5"),
    ]
    shown = pymeter("top-up", "list", "acct_1", "tokens").out
    assert "1,200.5" in shown
    assert "sorry" in shown
    assert pymeter("top-up", "list", "acct_1", "tokens", "--csv").out.startswith("top_up_id,metric,")
    earlier = pymeter("top-up", "list", "acct_1", "tokens", "--at", "2026-05-01", "--json").json
    assert [row["idempotency_key"] for row in earlier] == ["gift"]
    assert pymeter("top-up", "void", str(number), "refunded").out.endswith(": void\n")
    gone = pymeter("top-up", "void", "99999", "refunded")
    assert (gone.status, "[UM007]" in gone.err) == (1, True)
    assert pymeter("top-up", "add", "acct_1", "tokens", "0", "-k", "x").status == 2


def test_a_balance_is_shown(pymeter: Run) -> None:
    assert pymeter("balance", "acct_1", "tokens").out == (
        "unlimited: used 0; no quota; top-ups 0, 0 left  1970-01-01 → … UTC\n"
    )
    pymeter("limit", "set", "tokens", "500")
    pymeter("top-up", "add", "acct_1", "tokens", "200", "-k", "invoice_17")
    pymeter("record", "acct_1", "tokens", "600")
    assert pymeter("balance", "acct_1", "tokens").out == (
        "100 left: used 600; quota 500; top-ups 200, 100 left  1970-01-01 → … UTC\n"
    )
    pymeter("record", "acct_1", "tokens", "150", "--overflow")
    assert "; overrun 50  " in pymeter("balance", "acct_1", "tokens").out
    assert pymeter("balance", "acct_1", "tokens", "--json").json["top_ups_left"] == "0"
    assert pymeter("balance", "acct_1", "tokens", "--at", "2020-01-01", "--json").json["used"] == "0"


def test_a_limit_rolls_over(pymeter: Run) -> None:
    limit = ("limit", "set", "tokens", "100", "-p", "day", "--since", "2026-01-01")
    found = pymeter(*limit, "--rollover-min", "5", "--rollover-max", "50", "--json").json
    assert (found["rollover_min"], found["rollover_max"]) == ("5", "50")
    rows = pymeter("top-up", "list", "acct_1", "tokens", "--json").json
    assert [(row["source"], row["quantity"]) for row in rows] == [("rollover", "50")]
    assert "rollover" in pymeter("top-up", "list", "acct_1", "tokens").out

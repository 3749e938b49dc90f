"""Projections at the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import Run

NOW = "2026-06-21"
TOKENS = '{"model": "unit", "unit_amount": "0.5"}'


@pytest.fixture(autouse=True)
def _usage(pymeter: Run) -> None:
    """10 tokens at noon every day of 40 before NOW, and images for 2 days."""
    pymeter("define", "tokens", "sum", "token")
    pymeter("define", "images", "count", "image")
    pymeter("plan", "define", "pro")
    pymeter("subscribe", "acct_1", "pro", "--since", "2026-01-01")
    noon = datetime(2026, 5, 12, 12, tzinfo=UTC)
    lines = ["subject,metric,quantity,at"]
    lines += [f"acct_1,tokens,10,{(noon + timedelta(days=day)).isoformat()}" for day in range(40)]
    lines += [f"acct_1,images,1,2026-06-{day}T12:00:00Z" for day in (19, 20)]
    assert (
        pymeter("import", "-", "-f", "csv", "--unkeyed", "count", input="\n".join(lines) + "\n").status == 0
    )


def test_it_shows_what_is_used_expected_and_owed(pymeter: Run) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens")
    pymeter("limit", "set", "tokens", "250", "--subject", "acct_1", "--since", "2026-01-01")
    shown = pymeter("project", "acct_1", "--at", NOW).out
    assert "2026-06-01 → 2026-07-01 UTC  67 % elapsed" in shown
    assert "tokens  200 token used, 300 at the end" in shown
    assert "by weekdays; limit 250: will be exceeded" in shown
    assert "█" * 40 + "▓" * 10 + "│" + "▓" * 10 in shown
    assert "images  2 image used\n" in shown
    assert "not projected; too little history: 1 of at least 7 days" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["total", "100.00", "150.00", "150.00", "150.00", "USD"] in lines
    document = pymeter("project", "acct_1", "--at", NOW, "--json").json
    assert [(row["metric"], row["expected"]) for row in document["usage"]] == [
        ("images", None),
        ("tokens", "300"),
    ]
    assert document["limits"][0]["quota"] == "250"
    assert document["invoice"][-1]["expected"] == "150.00"


def test_what_is_not_known_is_no_zero(pymeter: Run) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens")
    pymeter("price", "define", "pro", "images", TOKENS, "-m", "images")
    shown = pymeter("project", "acct_1", "--at", NOW).out
    lines = [line.split() for line in shown.splitlines()]
    assert ["images", "1.00", "?", "?", "?", "USD"] in lines
    assert ["total", "101.00", "?", "?", "?", "USD"] in lines
    assert "unknown is not 0: images: too little history: 1 of at least 7 days" in shown
    assert "the subject has used nothing yet" in pymeter("project", "nobody", "--at", NOW).out


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        ("199", "exceeded"),
        ("299", "will be exceeded"),
        ("300", "enough"),
    ],
)
def test_it_says_what_becomes_of_a_limit_of_the_cycle(pymeter: Run, quota: str, said: str) -> None:
    pymeter("limit", "set", "tokens", quota, "--subject", "acct_1", "--since", "2026-01-01")
    pymeter(
        "limit",
        "set",
        "tokens",
        "10",
        "--subject",
        "acct_1",
        "--period",
        "day",
        "--name",
        "daily",
        "--since",
        "2026-01-01",
    )
    shown = pymeter("project", "acct_1", "--metric", "tokens", "--at", NOW).out
    assert f"limit {quota}: {said}\n" in shown


def test_it_fits_a_narrow_terminal_without_blocks(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = pymeter("project", "acct_1", "-m", "tokens", "--at", NOW).out
    assert max(map(len, shown.splitlines())) <= 40


def test_what_it_cannot_read_is_an_error_and_no_zero(pymeter: Run) -> None:
    ran = pymeter("project", "acct_1", "-m", "tokenz")
    assert (ran.status, ran.out) == (1, "")
    assert "[UM001]" in ran.err
    assert pymeter("project", "acct_1", "--at", "tomorrow").status == 2


def test_lines_are_called_as_on_the_invoice_and_those_of_the_next_cycle_are_told_apart(pymeter: Run) -> None:
    fee = '{"model": "flat", "flat_amount": "20"}'
    pymeter("price", "define", "pro", "base", fee, "--bill", "advance", "--name", "Fee")
    pymeter("credit", "grant", "acct_1", "5", "USD", "--key", "gift", "--since", "2026-01-01")
    pymeter("tax", "set", "acct_1", "10", "--name", "VAT")
    shown = pymeter("project", "acct_1", "--at", NOW).out
    rows = [
        " ".join(line.split()[:-5]) for line in shown.splitlines() if line.endswith("USD") or "USD " in line
    ]
    assert rows == ["Fee", "Fee, next cycle", "credit 1", "VAT", "total"]
    invoice = pymeter("invoice", "acct_1", "--at", NOW).out
    for name in ("Fee", "credit 1", "VAT", "total"):
        assert f" {name} " in invoice

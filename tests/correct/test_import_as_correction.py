"""import --as-correction: a backfill that is staged, previewed, and counts once it is approved."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import Run, pymeter
from tests.helpers import Ledger

__all__ = ["pymeter"]

JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")
HEADER = "subject,metric,quantity,idempotency_key,at\n"


@pytest.fixture(autouse=True)
def _usage(pymeter: Run) -> None:
    """Two events on 18 June, one on 20 June."""
    pymeter("define", "tokens", "sum", "token")
    for n, day in ((1, 18), (2, 18), (3, 20)):
        pymeter("record", "acct_1", "tokens", "100", "--key", f"req_{n}", "--at", f"2026-06-{day}T14:00Z")


def _quantity(pymeter: Run) -> Decimal:
    return Decimal(pymeter("usage", "acct_1", "tokens", *JUNE, "--json").json["quantity"])


def _file(lines: str) -> str:
    Path("june.csv").write_text(HEADER + lines, encoding="utf-8")
    return "june.csv"


def test_a_backfill_counts_once_it_is_approved(pymeter: Run) -> None:
    file = _file(
        "acct_1,tokens,7.5,late_1,2026-06-19T00:00:00Z\nacct_1,tokens,100,req_1,2026-06-18T14:00:00Z\n"
    )
    ran = pymeter("import", file, "--as-correction", "the gateway was down", "--json")
    assert ran.status == 0, ran.err
    (effect,) = ran.json["effects"]
    assert (effect["before"], effect["after"], ran.json["report"]["staged"]) == ("300", "307.5", 2)
    assert _quantity(pymeter) == 300
    opened = str(ran.json["correction_id"])
    assert pymeter("correction", "list", "--json").json[0]["reason"] == "the gateway was down"
    assert pymeter("correction", "approve", opened).status == 0
    assert _quantity(pymeter) == Decimal("307.5")
    entries = pymeter("correction", "show", opened, "--json").json["changes"]
    assert [entry["outcome"] for entry in entries] == ["applied", "duplicate"]


def test_a_backfill_replaces_what_is_in_a_window(pymeter: Run) -> None:
    file = _file("acct_1,tokens,40,req_1,2026-06-18T14:00:00Z\nacct_1,tokens,2,new_1,2026-06-18T15:00:00Z\n")
    window = "acct_1, tokens, 2026-06-18, 2026-06-19"
    ran = pymeter("import", file, "--as-correction", "replay", "--replace", window, "--approve")
    assert ran.status == 0, ran.err
    assert "-158" in ran.out
    assert "is approved" in ran.out
    assert _quantity(pymeter) == 142
    retried = pymeter("record", "acct_1", "tokens", "40", "--key", "req_1", "--json").json
    assert retried["outcome"] == "duplicate"


def test_an_export_that_was_edited_replaces_its_own_events(pymeter: Run, ledger: Ledger) -> None:
    """Also those without a key, which are known by their ids."""
    ledger.record("acct_1", "tokens", 50, at="2026-06-18T16:00:00Z")
    pymeter("export", "acct_1", "--since", "2026-06-18", "--until", "2026-06-19", "-o", "day.jsonl")
    text = Path("day.jsonl").read_text().replace('"quantity":"50"', '"quantity":"5"')
    Path("day.jsonl").write_text(text)
    window = "acct_1, tokens, 2026-06-18, 2026-06-19"
    replay = ("import", "day.jsonl", "--as-correction", "replay", "--approve")
    unchanged = pymeter(*replay, "--json")
    assert (unchanged.status, unchanged.json["effects"]) == (0, []), unchanged.err
    assert _quantity(pymeter) == 350
    assert pymeter(*replay, "--replace", window).status == 0
    assert _quantity(pymeter) == 305


def test_lines_that_cannot_count_are_not_staged(pymeter: Run) -> None:
    file = _file("acct_1,tokens,-1,a,2026-06-19T00:00:00Z\nacct_1,tokens,3,b,2026-06-19T00:00:00Z\n")
    ran = pymeter("import", file, "--as-correction", "x", "--json")
    assert (ran.status, ran.json["report"]["rejected"], ran.json["report"]["staged"]) == (1, 1, 1)
    assert "negative" in Path("june.csv.rejects.jsonl").read_text()
    assert ran.json["effects"][0]["delta"] == "3"


def test_a_file_without_such_lines_opens_nothing(pymeter: Run) -> None:
    ran = pymeter("import", _file("acct_1,tokens,-1,a,2026-06-19T00:00:00Z\n"), "--as-correction", "x")
    assert ran.status == 2
    assert pymeter("correction", "list", "--json").json == []


def test_its_options_go_together(pymeter: Run) -> None:
    file = _file("acct_1,tokens,3,b,2026-06-19T00:00:00Z\n")
    for wrong in (
        ("--approve",),
        ("--replace", "acct_1, tokens, 2026-06-18, 2026-06-19"),
        ("--as-correction", "x", "--dry-run"),
        ("--as-correction", "x", "--replace", "acct_1, tokens, 2026-06-18"),
        ("--as-correction", "x", "--replace", "acct_1, tokens, then, now"),
    ):
        assert pymeter("import", file, *wrong).status == 2
    assert _quantity(pymeter) == 300

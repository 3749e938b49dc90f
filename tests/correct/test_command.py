"""Corrections at the command line: void, amend, adjust, and the group correction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter.cli import corrections
from tests.access.conftest import Roles, roles
from tests.cli.conftest import Run, pymeter
from tests.helpers import Ledger

__all__ = ["pymeter", "roles"]

JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


@pytest.fixture(autouse=True)
def _usage(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    for n in (1, 2, 3):
        pymeter("record", "acct_1", "tokens", "100", "--key", f"req_{n}", "--at", f"2026-06-18T14:0{n}Z")


def _quantity(pymeter: Run) -> str:
    return str(pymeter("usage", "acct_1", "tokens", *JUNE, "--json").json["quantity"])


def _staged(pymeter: Run, tmp_path: Path, *entries: dict[str, object], reason: str = "a fault") -> str:
    opened = str(pymeter("correction", "open", reason, "--json").json["correction_id"])
    file = tmp_path / "entries.jsonl"
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    staged = pymeter("correction", "stage", opened, file)
    assert staged.status == 0, staged.err
    return opened


def _adjustment(quantity: str = "-5") -> dict[str, object]:
    at = "2026-06-18T15:00:00Z"
    return {"entry": "adjust", "subject": "acct_1", "metric": "tokens", "quantity": quantity, "at": at}


def test_an_event_is_voided_once(pymeter: Run) -> None:
    given = ("void", "acct_1", "tokens", "--key", "req_1", "--reason", "test traffic")
    done = pymeter(*given)
    assert done.status == 0
    assert done.out.startswith("✓ applied by correction ")
    assert done.out.endswith("; tokens of acct_1 is now 200 token in 2026-06-01 → 2026-07-01 UTC\n")
    assert _quantity(pymeter) == "200"
    assert pymeter(*given).out.startswith("✓ already done by correction ")
    again = pymeter(*given, "--json")
    assert (again.status, again.json["outcome"], again.json["quantity"]) == (0, "duplicate", "200")


def test_an_event_is_named_in_one_way_and_needs_a_reason(pymeter: Run) -> None:
    both = pymeter("void", "acct_1", "tokens", "--key", "req_1", "--event", "1", "-r", "x")
    neither = pymeter("amend", "acct_1", "tokens", "-q", "5", "-r", "x")
    assert (both.status, neither.status) == (2, 2)
    assert pymeter("void", "acct_1", "tokens", "--key", "req_1").status == 2
    unknown = pymeter("void", "acct_1", "tokens", "--event", "99999", "-r", "x")
    assert unknown.status == 1
    assert "pymeter events acct_1 --metric tokens" in unknown.err
    assert "  event 99999, subject 'acct_1', metric 'tokens'.\n" in unknown.err
    by_key = pymeter("amend", "acct_1", "tokens", "--key", "nope", "-q", "5", "-r", "x").err
    assert "idempotency_key 'nope', subject 'acct_1'" in by_key
    assert "null" not in by_key
    assert "not both" in both.err
    assert _quantity(pymeter) == "300"


def test_an_amended_event_is_a_conflict_when_it_counts_no_more(pymeter: Run) -> None:
    given = ("--key", "req_1", "--reason", "counted twice")
    assert "is now 220" in pymeter("amend", "acct_1", "tokens", "--quantity", "20", *given).out
    assert pymeter("void", "acct_1", "tokens", *given).status == 0
    refused = pymeter("amend", "acct_1", "tokens", "--quantity", "30", *given)
    assert (refused.status, refused.out.startswith("✗ conflict: the event does not count any more")) == (
        1,
        True,
    )
    nothing = pymeter("amend", "acct_1", "tokens", *given)
    assert (nothing.status, "say what changes" in nothing.err) == (2, True)
    assert _quantity(pymeter) == "200"


def test_an_adjustment_takes_usage_away(pymeter: Run) -> None:
    given = (
        "adjust",
        "acct_1",
        "tokens",
        "-5.5",
        "--at",
        "2026-06-18",
        "--key",
        "credit_1",
        "-r",
        "goodwill",
    )
    assert "is now 294.5" in pymeter(*given).out
    assert pymeter(*given, "--json").json["outcome"] == "duplicate"
    assert _quantity(pymeter) == "294.5"
    other = pymeter(*given[:3], "-7", *given[4:])
    assert (other.status, "the key was used for another payload" in other.out) == (1, True)


def test_events_show_what_corrections_have_done(pymeter: Run) -> None:
    assert "correction" not in pymeter("events", "acct_1").out
    pymeter("void", "acct_1", "tokens", "--key", "req_1", "-r", "x")
    pymeter("amend", "acct_1", "tokens", "--key", "req_2", "-q", "7", "-r", "x")
    pymeter("adjust", "acct_1", "tokens", "-1", "--at", "2026-06-18", "-r", "x")
    rows = pymeter("events", "acct_1", "--json").json
    by_key = {row["idempotency_key"]: row["event_id"] for row in reversed(rows)}
    shown = pymeter("events", "acct_1").out
    assert f"void of {by_key['req_1']}" in shown
    amended = [row["corrects"] for row in rows if row["kind"] == "usage" and row["corrects"] is not None]
    assert f"amends {amended[0]}" in shown
    assert "adjustment (" in shown
    assert sorted(row["kind"] for row in rows) == ["adjustment", *["usage"] * 4, *["void"] * 2]


def test_events_show_what_is_taken_back_and_restored(pymeter: Run) -> None:
    pymeter("define", "users", "unique", "user")
    pymeter("record", "acct_2", "users", "--member", "u1", "--key", "k")
    voided = pymeter("void", "acct_2", "users", "--key", "k", "-r", "x", "--json").json
    assert " -u1 " in pymeter("events", "acct_2").out
    undone = pymeter("correction", "revert", str(voided["correction_id"]), "y", "--json").json[
        "correction_id"
    ]
    shown = pymeter("events", "acct_2").out
    assert f"restores {voided['event_id']} ({undone})" in shown
    assert shown.count(" -u1 ") == 1


def test_a_correction_is_staged_previewed_approved_and_reverted(pymeter: Run, tmp_path: Path) -> None:
    opened = _staged(
        pymeter,
        tmp_path,
        {"entry": "void", "subject": "acct_1", "metric": "tokens", "idempotency_key": "req_1"},
        _adjustment("1200.25"),
    )
    assert _quantity(pymeter) == "300"
    (effect,) = pymeter("correction", "preview", opened, "--json").json
    assert (effect["before"], effect["after"], effect["delta"]) == ("300", "1400.25", "1100.25")
    shown = pymeter("correction", "preview", opened).out
    assert "2026-06-01 → 2026-07-01" in shown
    assert "+1,100.25" in shown
    assert pymeter("correction", "list", "--state", "open", "--json").json[0]["entries"] == 2
    approved = pymeter("correction", "approve", opened)
    assert approved.out.endswith(f"✓ correction {opened} is approved: 1 period of 1 subject changed\n")
    assert _quantity(pymeter) == "1400.25"
    undone = pymeter("correction", "revert", opened, "wrong account", "--json").json["correction_id"]
    assert _quantity(pymeter) == "300"
    listed = pymeter("correction", "list").out
    assert f"reverted by {undone}" in listed
    assert f"approved, reverts {opened}" in listed
    entries = pymeter("correction", "show", opened, "--json").json
    assert [entry["outcome"] for entry in entries["changes"]] == ["applied", "applied"]
    assert "a fault" in pymeter("correction", "show", opened).out


def test_a_rejected_correction_changes_nothing(pymeter: Run, tmp_path: Path) -> None:
    opened = _staged(pymeter, tmp_path, _adjustment())
    assert pymeter("correction", "reject", opened, "wrong month").status == 0
    assert "wrong month" in pymeter("correction", "show", opened).out
    assert pymeter("correction", "approve", opened).status == 2
    assert _quantity(pymeter) == "300"
    unknown = pymeter("correction", "reject", "9999", "x")
    assert (unknown.status, "pymeter correction list" in unknown.err) == (1, True)


def test_a_file_of_entries_is_staged_as_a_whole(pymeter: Run, tmp_path: Path) -> None:
    opened = str(pymeter("correction", "open", "a fault", "--json").json["correction_id"])
    file = tmp_path / "entries.jsonl"
    for bad in ("{", "[]", '{"entry": "void", "subject": "acct_1", "metric": "tokens"}'):
        file.write_text(f"{json.dumps(_adjustment())}\n{bad}\n", encoding="utf-8")
        failed = pymeter("correction", "stage", opened, file)
        assert failed.status == 2
    assert "line 2" in pymeter("correction", "stage", opened, "-", input="\n7").err
    assert "entry 2" in pymeter("correction", "stage", opened, "-", input="[{}, 7]").err
    assert "not a JSON array" in pymeter("correction", "stage", opened, "-", input="[{}\n").err
    for empty in ("", "\n", " []"):
        nothing = pymeter("correction", "stage", opened, "-", input=empty)
        assert (nothing.status, "- has no entries" in nothing.err) == (2, True)
    assert pymeter("correction", "list", "--json").json[0]["entries"] == 0
    array = json.dumps([_adjustment(), _adjustment("-6")], indent=2)
    staged = pymeter("correction", "stage", opened, "-", "--json", input=array)
    assert staged.json["entries"] == 2, staged.err


def test_a_preview_adds_up_what_it_changes_in_money(pymeter: Run, tmp_path: Path) -> None:
    pymeter("plan", "define", "pro")
    pymeter("price", "define", "pro", "tokens", '{"model": "unit", "unit_amount": 0.5}', "--metric", "tokens")
    pymeter("subscribe", "acct_1", "pro", "--since", "2026-06-01")
    more = _adjustment("3")
    opened = _staged(
        pymeter, tmp_path, more, {**more, "subject": "acct_2"}, {**more, "at": "2026-07-02T00:00Z"}
    )
    shown = pymeter("correction", "preview", opened).out
    assert shown.count("+1.50 USD") == 2
    assert "in money: +3.00 USD; 1 period without an amount" in shown


def test_at_a_terminal_it_shows_the_preview_and_asks(
    pymeter: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "_is_interactive", lambda: True)
    opened = _staged(pymeter, tmp_path, _adjustment())
    declined = pymeter("correction", "approve", opened, input="n\n")
    assert (declined.status, "-5" in declined.out) == (1, True)
    assert _quantity(pymeter) == "300"
    agreed = pymeter("correction", "approve", opened, input="y\n")
    assert agreed.status == 0
    assert "since the preview" not in agreed.out
    assert _quantity(pymeter) == "295"


def test_a_role_may_approve_without_reading(
    pymeter: Run, tmp_path: Path, meter_dsn: str, roles: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _staged(pymeter, tmp_path, _adjustment())
    with monkeypatch.context() as patch:
        options: dict[str, Any] = {"user": roles.new("approve"), "password": "not a secret"}
        patch.setenv("PYMETER_DSN", psycopg.conninfo.make_conninfo(meter_dsn, **options))
        with patch.context() as terminal:
            terminal.setattr(corrections, "_is_interactive", lambda: True)
            refused = pymeter("correction", "approve", opened)
        assert (refused.status, "the preview needs the level read" in refused.err) == (2, True)
        approved = pymeter("correction", "approve", opened)
        assert (approved.status, "1 period of 1 subject changed" in approved.out) == (0, True), approved.err
    assert _quantity(pymeter) == "295"


def test_it_says_so_if_something_was_recorded_after_the_preview(
    pymeter: Run, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _staged(pymeter, tmp_path, _adjustment())

    def records_meanwhile(*_: object, **__: object) -> bool:
        ledger.record("acct_1", "tokens", 50, at="2026-06-18T16:00:00Z")
        return True

    monkeypatch.setattr(corrections, "_is_interactive", lambda: True)
    monkeypatch.setattr(corrections.typer, "confirm", records_meanwhile)
    approved = pymeter("correction", "approve", opened)
    assert "since the preview: 1 of 1 periods" in approved.out
    assert "345" in approved.out


def test_many_periods_are_added_up(pymeter: Run, tmp_path: Path) -> None:
    entries = [{**_adjustment("-2"), "subject": f"acct_{n}"} for n in range(60)]
    opened = _staged(pymeter, tmp_path, *entries)
    shown = pymeter("correction", "preview", opened).out
    assert "and 10 more periods" in shown
    assert "-120" in shown
    assert len(pymeter("correction", "preview", opened, "--csv").out.splitlines()) == 61
    everything = pymeter("correction", "preview", opened, "--limit", "0").out
    assert "acct_59" in everything
    assert "more period" not in everything


@pytest.mark.parametrize("columns", ["80", "100", "120"])
def test_tables_break_no_word(
    pymeter: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    void = {"entry": "void", "subject": "acct_1", "metric": "tokens", "idempotency_key": "req_1"}
    opened = _staged(pymeter, tmp_path, {**void, "reason": "test"}, _adjustment(), reason="counted " * 9)
    pymeter("correction", "approve", opened)
    pymeter("correction", "revert", opened, "wrong")
    monkeypatch.setenv("COLUMNS", columns)
    listed = pymeter("correction", "list").out
    shown = pymeter("correction", "show", opened).out
    for word in ("approved", "reverted by", "postgres", "2026-", "reverts", "reason"):
        assert word in listed, listed
    for word in ("adjust", "acct_1", "tokens", "req_1", "2026-06-18 15:00", "applied", "test"):
        assert word in shown, shown
    assert max(map(len, (listed + shown).splitlines())) <= int(columns)


def test_with_four_eyes_the_command_says_what_to_do(pymeter: Run, tmp_path: Path) -> None:
    opened = _staged(pymeter, tmp_path, _adjustment())
    pymeter("settings", "set", "four_eyes", "true")
    alone = pymeter("correction", "approve", opened)
    assert (alone.status, "another role" in alone.err) == (1, True)
    at_once = pymeter("void", "acct_1", "tokens", "--key", "req_1", "-r", "x")
    assert (at_once.status, "pymeter correction open" in at_once.err) == (1, True)
    assert _quantity(pymeter) == "300"

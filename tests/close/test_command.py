"""Closed periods at the command line: close, statement, late, erase, verify, and reads as of a watermark."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import Run, pymeter
from tests.helpers import Ledger

__all__ = ["pymeter"]

JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")
JULY = ("--since", "2026-07-01", "--until", "2026-08-01")


@pytest.fixture(autouse=True)
def _usage(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    pymeter("define", "seats", "max", "seat")
    _record(pymeter, "5", "2026-06-18")
    pymeter("record", "acct_1", "seats", "3", "--at", "2026-06-18T15:00Z")


def _record(pymeter: Run, quantity: str, day: str, subject: str = "acct_1") -> None:
    assert pymeter("record", subject, "tokens", quantity, "--at", f"{day}T14:00Z").status == 0


def _close(pymeter: Run, *window: str, subject: str = "acct_1") -> str:
    closed = pymeter("close", subject, *window, "--json")
    assert closed.status == 0, closed.err
    return str(closed.json["statement_id"])


def _is_narrow(text: str) -> bool:
    return max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_a_period_is_closed_once_and_shown_as_a_statement(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = pymeter("close", "acct_1", *JUNE)
    assert done.status == 0
    first, *table = done.out.splitlines()
    assert first.startswith("✓ statement ")
    assert first.endswith(" of acct_1: 2026-06-01 → 2026-07-01 UTC, 2 lines")
    rows = [line.split() for line in table]
    assert ["seats", "3", "seat", "(max)", "1"] in rows
    assert ["tokens", "5", "token", "1"] in rows
    number = first.split()[2]
    again = pymeter("close", "acct_1", *JUNE).out.splitlines()
    assert re.fullmatch(rf"✓ already closed \d{{4}}-\d\d-\d\d \d\d:\d\d as statement {number}", again[0])
    assert again[1:] == table
    assert pymeter("statement", number).out.splitlines() == table
    assert _is_narrow(done.out)


def test_a_statement_is_json_csv_and_the_document_that_is_hashed(pymeter: Run) -> None:
    number = _close(pymeter, *JUNE)
    found = pymeter("statement", number, "--json").json
    assert [(line["metric"], line["quantity"]) for line in found["items"]] == [
        ("seats", "3"),
        ("tokens", "5"),
    ]
    document = pymeter("statement", number, "--document").out
    assert hashlib.sha256(document.encode()).hexdigest() == found["hash"]
    assert json.loads(document)["statement_id"] == number
    csv = pymeter("statement", number, "--csv").out.splitlines()
    assert csv[0].startswith("line,kind,metric,quantity,")
    assert csv[2].startswith("2,usage,tokens,5,token,sum,1,")
    (header,) = pymeter("statement", "acct_1", "--json").json
    assert header == {name: value for name, value in found.items() if name != "items"}
    assert pymeter("statement", "acct_2", "--json").json == []
    assert pymeter("statement", "--csv").out.splitlines()[1].startswith(f"{number},acct_1,2026-06-01")


def test_a_subject_whose_name_is_a_number_is_named_by_the_option(pymeter: Run) -> None:
    _record(pymeter, "1", "2026-06-18", subject="42")
    number = _close(pymeter, *JUNE, subject="42")
    assert [row["statement_id"] for row in pymeter("statement", "-s", "42", "--json").json] == [int(number)]
    unknown = pymeter("statement", "4200000")
    assert (unknown.status, "no such statement" in unknown.err) == (1, True)
    assert "pymeter statement" in unknown.err


@pytest.mark.parametrize(
    "wrong",
    [
        ("statement", "acct_1", "--document"),
        ("statement", "acct_1", "-s", "acct_2"),
        ("statement", "1", "-s", "acct_2"),
        ("close", "--period", "month"),
        ("close", "--since", "2026-06-01"),
        ("late", "--reason", "x"),
        ("usage", "acct_1", "tokens", "--by", "model", "--as-of", "2026-06-01"),
        ("erase", "acct_1", "gone"),
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_wrong_usage(pymeter: Run, wrong: tuple[str, ...]) -> None:
    assert pymeter(*wrong).status == 2
    assert pymeter("statement", "--json").json == []


def test_due_periods_are_closed_all_at_once(pymeter: Run) -> None:
    for n in range(2, 131):
        _record(pymeter, "1", "2026-06-18", subject=f"acct_{n}")
    done = pymeter("close")
    assert done.status == 0
    first, *lines = done.out.splitlines()
    assert first == "✓ closed 130 periods of 130 subjects"
    stated = {
        (str(row["statement_id"]), row["subject"])
        for row in pymeter("statement", "-n", "1000", "--json").json
    }
    assert len(stated) == 130
    shown = [tuple(words[:2]) for words in map(str.split, lines) if words[:1] and words[0].isdigit()]
    assert len(shown) == 10
    assert set(shown) <= stated
    assert lines[-1] == "and 120 more: pymeter statement lists them"
    again = pymeter("close")
    assert (again.status, again.out) == (0, "✓ nothing is due\n")
    assert pymeter("close", "--json").json == []


def test_what_cannot_be_closed_is_postponed_with_the_reason(
    pymeter: Run, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    last_month = datetime.now(UTC).replace(day=1) - timedelta(days=5)
    _record(pymeter, "1", f"{last_month:%Y-%m-%d}", subject="acct_2")
    ledger.tamper("total = 99", "subject = 'acct_2'")
    done = pymeter("close")
    assert done.status == 1
    assert "✓ closed 1 period of 1 subject\n" in done.out
    assert any("acct_1" in line for line in done.out.partition("✗")[0].splitlines())
    assert "✗ postponed 1 period; the next call tries again" in done.out
    assert all(word in done.out for word in ("acct_2", "55000"))
    assert _is_narrow(done.out)
    (row,) = pymeter("close", "--json").json
    assert (row["subject"], row["outcome"], row["sqlstate"]) == ("acct_2", "postponed", "55000")
    assert row["message"] == "buckets of the period do not equal the log"
    alone = pymeter("close", "acct_2")
    assert alone.status == 1
    assert "pymeter rebuild" in alone.err
    pymeter("rebuild")
    assert pymeter("close").out.startswith("✓ closed 1 period of 1 subject\n")


def test_late_usage_is_shown_and_decided_and_billed_next(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert pymeter("late").out == "✓ no late usage is open\n"
    number = _close(pymeter, *JUNE)
    _record(pymeter, "3", "2026-06-20")
    shown = pymeter("late", "acct_1")
    assert _is_narrow(shown.out)
    assert f"pymeter late --settle {number} tokens 3 bill" in shown.out
    (row,) = [line.split() for line in shown.out.splitlines() if line.split()[:1] == [number]]
    assert row == [number, "acct_1", "2026-06", "5", "8", "+3"]
    (late,) = pymeter("late", "--json").json
    assert (late["stated"], late["current"], late["delta"]) == ("5", "8", "3")
    moved = pymeter("late", "--settle", number, "tokens", "2", "bill")
    assert (moved.status, moved.out.splitlines()) == (
        1,
        [
            f"✗ tokens of statement {number}: 3 token is open now; nothing was decided",
            f"see: pymeter statement {number} --changes; then: pymeter late --settle {number} tokens 3 bill",
        ],
    )
    settled = pymeter("late", "--settle", number, "tokens", "3", "bill", "-r", "agreed")
    assert (settled.status, settled.out) == (
        0,
        f"✓ tokens of statement {number}: billed 3, waived 0 token in all\n",
    )
    duplicate = pymeter("late", "--settle", number, "tokens", "3", "bill")
    assert (duplicate.status, duplicate.out) == (
        0,
        f"✓ tokens of statement {number}: nothing is open; billed 3, waived 0 token in all\n",
    )
    events = pymeter("statement", number, "--changes", "--json").json
    assert [event["quantity"] for event in events] == ["3"]
    following = pymeter("close", "acct_1", *JULY).out
    assert [f"tokens +3 token 2026-06 {number}".split()] == [
        line.split() for line in following.splitlines() if "+3" in line
    ]
    assert _is_narrow(following)


def test_a_negative_delta_is_waived(pymeter: Run) -> None:
    number = _close(pymeter, *JUNE)
    pymeter("adjust", "acct_1", "tokens", "-2", "--reason", "goodwill", "--at", "2026-06-18")
    settled = pymeter("late", "--settle", number, "tokens", "-2", "waive", "--json")
    assert (settled.status, settled.json["waived"], settled.json["delta"]) == (0, "-2", "0")


def test_reads_as_of_a_watermark_stay_what_they_were(pymeter: Run) -> None:
    number = _close(pymeter, *JUNE)
    watermark = pymeter("statement", number, "--json").json["watermark"]
    _record(pymeter, "3", "2026-06-20")
    now, then = (), ("--as-of", watermark)
    for extra, expected in ((now, "8"), (then, "5")):
        usage = pymeter("usage", "acct_1", "tokens", *JUNE, "--json", *extra).json
        summary = pymeter("summary", "acct_1", *JUNE, "--json", *extra).json
        series = pymeter("series", "acct_1", "tokens", *JUNE, "--step", "month", "--json", *extra).json
        events = pymeter("events", "acct_1", "-m", "tokens", "--json", *extra).json
        assert usage["quantity"] == expected
        assert {row["metric"]: row["quantity"] for row in summary}["tokens"] == expected
        assert [row["quantity"] for row in series] == [expected]
        assert sum(int(row["quantity"]) for row in events) == int(expected)
    when = datetime.fromisoformat(watermark).astimezone(UTC)
    header = f"as recorded up to {when:%Y-%m-%d %H:%M:%S} UTC"
    for command in (("usage", "acct_1", "tokens"), ("summary", "acct_1"), ("series", "acct_1", "tokens")):
        assert header in pymeter(*command, *JUNE, *then).out.splitlines()[1]
        assert "as recorded" not in pymeter(*command, *JUNE).out
    assert pymeter("events", "acct_1", *then).out.startswith(header)
    assert "as recorded" not in pymeter("events", "acct_1").out
    beyond = pymeter("usage", "acct_1", "tokens", "--as-of", "2100-01-01")
    assert (beyond.status, "watermark" in beyond.err) == (1, True)


def test_verify_looks_at_statements_too(pymeter: Run, ledger: Ledger) -> None:
    assert pymeter("verify").out == "✓ no drift: every rollup equals the log\n"
    number = _close(pymeter, *JUNE)
    assert "✓ every statement is as it was closed" in pymeter("verify").out
    ledger.execute(
        "ALTER TABLE meter.statement_lines DISABLE TRIGGER lines_are_final;"
        "UPDATE meter.statement_lines SET quantity = 4 WHERE metric = 'tokens';"
        "ALTER TABLE meter.statement_lines ENABLE ALWAYS TRIGGER lines_are_final"
    )
    found = pymeter("verify")
    assert found.status == 1
    assert "✗ 1 statement does not fit" in found.out
    problems = pymeter("verify", "--json").json
    assert {(p["statement_id"], p["what"]) for p in problems} == {(int(number), "hash"), (int(number), "log")}
    assert [p["what"] for p in pymeter("verify", "-m", "tokens", "--json").json] == ["log"]
    assert pymeter("verify", "-s", "acct_2").status == 0
    csv = pymeter("verify", "--csv")
    assert (csv.status, "1 statement does not fit" in csv.err) == (1, True)


def test_erasing_needs_a_yes(pymeter: Run) -> None:
    asked = pymeter("erase", "acct_1", "erased_1", input="y\n")
    assert (asked.status, "--yes" in asked.err) == (2, True)
    assert [row["subject"] for row in pymeter("subjects", "--json").json] == ["acct_1"]
    done = pymeter("erase", "acct_1", "erased_1", "--yes")
    assert done.status == 0
    first, following = done.out.splitlines()
    assert first == (
        "✓ erased: its usage is that of erased_1 now; every event is kept, none had keys, members or metadata"
    )
    assert all(word in following for word in ("VACUUM", "backups", "billing jobs"))
    assert [row["subject"] for row in pymeter("subjects", "--json").json] == ["erased_1"]
    assert len(pymeter("events", "erased_1", "--json").json) == 2


def test_erasing_says_how_many_events_had_something_to_erase(pymeter: Run) -> None:
    for extra in (("--key", "job_1"), ("--metadata", '{"model": "large"}'), ()):
        assert pymeter("record", "acct_2", "tokens", "1", *extra).status == 0
    done = pymeter("erase", "acct_2", "erased_2", "--yes")
    assert "every event is kept, 2 had keys, members or metadata\n" in done.out
    assert len(pymeter("events", "erased_2", "--json").json) == 3

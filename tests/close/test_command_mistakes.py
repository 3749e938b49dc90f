"""Mistakes at the command line of closed periods, and tables of long names on a narrow terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import Run, pymeter

__all__ = ["pymeter"]

JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


@pytest.fixture(autouse=True)
def _usage(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    assert pymeter("record", "acct_1", "tokens", "5", "--at", "2026-06-18T14:00Z").status == 0


def test_a_subject_that_never_recorded_is_closed_only_as_a_new_one(pymeter: Run) -> None:
    refused = pymeter("close", "acct1", *JUNE)
    assert refused.status == 1
    assert "nothing was ever recorded for 'acct1'" in refused.err
    assert "Did you mean 'acct_1'?" in refused.err
    assert "--new" in refused.err
    assert pymeter("statement", "--json").json == []
    other = pymeter("close", "zzz", *JUNE)
    assert (other.status, "Did you mean" in other.err, "--new" in other.err) == (1, False, True)
    assert pymeter("close", "acct1", *JUNE, "--new").status == 0
    assert pymeter("close", "acct1", "--since", "2026-07-01", "--until", "2026-08-01").status == 0


@pytest.mark.parametrize("command", ["invoice", "statement", "late"])
def test_an_empty_answer_about_a_subject_that_nobody_knows_says_so(pymeter: Run, command: str) -> None:
    unknown = pymeter(command, "acct1")
    assert unknown.err == "nothing was ever recorded for 'acct1'. Did you mean 'acct_1'?\n"
    assert unknown.status == 0
    assert pymeter(command, "acct1", "--csv").err == unknown.err
    assert "acct_1" not in unknown.out, "a program reads the same answer as before"
    assert pymeter(command, "zzz").err == "nothing was ever recorded for 'zzz'.\n"
    window = ("--since", "2020-01-01", "--until", "2020-02-01")
    known = pymeter(command, "acct_1", *window)
    assert (known.status, known.err) == (0, "")


def test_an_erased_name_is_refused_like_one_that_never_recorded(pymeter: Run) -> None:
    assert pymeter("close", "acct_1", *JUNE).status == 0
    assert pymeter("erase", "acct_1", "erased_1", "--yes").status == 0
    assert pymeter("close", "acct_1", *JUNE).status == 1
    assert [row["subject"] for row in pymeter("statement", "--json").json] == ["erased_1"]


def test_a_name_that_is_no_subject_is_a_bad_value(pymeter: Run) -> None:
    blank = pymeter("close", " ", *JUNE)
    assert (blank.status, "never recorded" in blank.err) == (2, False)


@pytest.mark.parametrize(("days", "kind"), [(1, "day"), (7, "week"), (31, "month"), (366, "year")])
def test_the_error_for_a_running_period_names_the_last_one_that_ended(
    pymeter: Run, days: int, kind: str
) -> None:
    end = datetime.now(UTC) + timedelta(hours=5)
    window = ("--since", (end - timedelta(days=days)).isoformat(), "--until", end.isoformat())
    running = pymeter("close", "acct_1", *window)
    assert running.status == 2
    assert "the period has not ended" in running.err
    assert f"The last {kind} that ended: pymeter close acct_1 --period {kind}" in running.err


def test_one_end_of_a_period_is_not_enough(pymeter: Run) -> None:
    for given, missing in (("--since", "--until"), ("--until", "--since")):
        done = pymeter("close", "acct_1", given, "2026-06-01")
        assert (done.status, f"{missing} is missing" in done.err) == (2, True)


def test_new_needs_a_subject(pymeter: Run) -> None:
    assert pymeter("close", "--new").status == 2


def test_nothing_is_open_is_a_conflict_without_a_call_to_type(pymeter: Run) -> None:
    number = str(pymeter("close", "acct_1", *JUNE, "--json").json["statement_id"])
    done = pymeter("late", "--settle", number, "tokens", "2", "waive")
    assert done.status == 1
    assert "0 token is open now; nothing was decided" in done.out
    assert "--settle" not in done.out


def test_long_names_and_large_numbers_fit_80_columns(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    subject, metric, amount = "organisation-7f3a9c21-4e0b-42d5", "completion_tokens_cached", "1234567890"
    pymeter("define", metric, "sum", "thousand tokens")
    for day in ("2026-06-18", "2026-06-19"):
        assert pymeter("record", subject, metric, amount, "--at", day).status == 0
        pymeter("close", subject, *JUNE)
    pymeter("close", subject, "--since", "2026-07-01T05:30", "--until", "2026-07-02T17:45")
    lists = pymeter("statement", subject).out, pymeter("late", subject).out
    for out in lists:
        assert max(len(line.rstrip()) for line in out.partition("decide:")[0].splitlines()) <= 80
        assert "2026-06 " in out
        assert "…" not in out
    assert all(text in lists[1] for text in ("1,234,567,890", "2,469,135,780", "+1,234,567,890"))


def test_a_metric_that_refuses_late_events_is_defined_at_the_command_line(pymeter: Run) -> None:
    defined = pymeter("define", "tokens", "sum", "token", "--after-close", "refuse", "--json")
    assert (defined.status, defined.json["after_close"]) == (0, "refuse")
    assert pymeter("close", "acct_1", *JUNE).status == 0
    assert pymeter("record", "acct_1", "tokens", "1", "--at", "2026-06-20").status == 1
    again = pymeter("define", "tokens", "sum", "token", "--json")
    assert again.json["after_close"] == "refuse"

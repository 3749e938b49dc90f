"""Limits, plans, cycles, settings and the log of changes at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def tokens(pymeter: Run) -> None:
    assert pymeter("define", "tokens", "sum", "token", "--period", "never").status == 0


def test_an_event_beyond_a_limit_is_refused_with_status_1(pymeter: Run) -> None:
    ran = pymeter("limit", "set", "tokens", "1000", "--subject", "acct_1")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("✓ acct_1: 1,000 tokens per never, then block, since 20")
    recorded = pymeter("record", "acct_1", "tokens", "700", "--key", "k")
    assert (recorded.status, recorded.out.count("300 left (default)")) == (0, 1)
    refused = pymeter("record", "acct_1", "tokens", "500")
    assert refused.status == 1
    assert "✗ refused: 300 token left of the limit default; tokens of acct_1 is now 700 token" in refused.out
    assert "--overflow" in refused.out
    assert pymeter("record", "acct_1", "tokens", "500", "--json").json["outcome"] == "refused"
    assert pymeter("record", "acct_1", "tokens", "700", "--key", "k").status == 0
    over = pymeter("record", "acct_1", "tokens", "500", "--overflow")
    assert (over.status, "0 left (default)" in over.out) == (0, True)


def test_strict_is_an_error_with_its_code(pymeter: Run) -> None:
    pymeter("limit", "set", "tokens", "10")
    refused = pymeter("record", "acct_1", "tokens", "11", "--strict")
    assert (refused.status, refused.out, "[UM003]" in refused.err) == (1, "", True)
    pymeter("record", "acct_1", "tokens", "1", "--key", "k")
    used = pymeter("record", "acct_1", "tokens", "1", "--key", "k", "--strict")
    assert (used.status, "[UM005]" in used.err) == (1, True)


def test_check_without_a_quota_answers_from_the_limits(pymeter: Run) -> None:
    ran = pymeter("check", "acct_1", "tokens")
    assert (ran.status, ran.out) == (0, "✓ allowed: 0 token used, no limit\n")
    pymeter("limit", "set", "tokens", "1000", "--name", "hard")
    pymeter("record", "acct_1", "tokens", "700")
    ran = pymeter("check", "acct_1", "tokens", "--requested", "301")
    assert ran.status == 1
    assert ran.out == "✗ refused: 700 of 1,000 token used, 300 left (limit hard)\n"
    status = pymeter("check", "acct_1", "tokens", "--json").json
    assert (status["allowed"], status["limited_by"], status["overrun"]) == (True, "hard", "0")
    pymeter("record", "acct_1", "tokens", "500", "--overflow")
    assert "0 left, 200 too much (limit hard)" in pymeter("check", "acct_1", "tokens").out
    assert pymeter("check", "acct_1", "tokens", "2000", "800").status == 0
    assert pymeter("check", "acct_1", "tokens", "2000", "801").status == 1
    assert pymeter("check", "acct_1", "tokens", "2000", "1", "-r", "1").status == 2
    assert pymeter("check", "acct_1", "tokens", "--period", "month").status == 2


def test_limits_are_listed_explained_and_removed(pymeter: Run) -> None:
    assert "no limit is set" in pymeter("limit", "list").out
    assert pymeter("limit", "effective", "acct_1", "tokens").out == "no limit holds\n"
    pymeter("limit", "set", "tokens", "1000", "--mark", "50", "--mark", "99.5", "--every", "10")
    own = pymeter("limit", "set", "tokens", "unlimited", "-s", "acct_1", "--json").json
    assert (own["quota"], own["subject"], own["marks"]) == (None, "acct_1", ["80", "100"])
    listed = pymeter("limit", "list").out
    assert "50%, 99.5% +10" in listed
    assert "everyone" in listed
    assert "unlimited" in listed
    assert [row["limit_id"] for row in pymeter("limit", "list", "-s", "acct_1", "--json").json] == [
        own["limit_id"]
    ]
    assert f"--after-id {own['limit_id'] - 1}" in pymeter("limit", "list", "-n", "1").out
    assert pymeter("limit", "list", "--csv").out.startswith("limit_id,metric,name,")
    shown = pymeter("limit", "effective", "acct_1", "tokens").out
    assert "shadowed by limit" in shown
    assert [row["counts"] for row in pymeter("limit", "effective", "acct_1", "tokens", "--json").json] == [
        True,
        False,
    ]
    assert pymeter("limit", "remove", "tokens", "-s", "acct_1").out == (
        "✓ acct_1: unlimited tokens per never: removed\n"
    )
    gone = pymeter("limit", "remove", "tokens", "-s", "acct_1")
    assert (gone.status, "[UM007]" in gone.err) == (1, True)
    assert pymeter("limit", "set", "tokens", "1", "--action", "explode").status == 2


def test_a_plan_is_defined_subscribed_to_and_left(pymeter: Run) -> None:
    assert "no plan is defined" in pymeter("plan", "list").out
    assert pymeter("subscribe", "acct_1", "pro").status == 1
    assert pymeter("plan", "define", "pro", "--name", "Pro").out == "✓ pro: Pro\n"
    assert [row["plan"] for row in pymeter("plan", "list", "--json").json] == ["pro"]
    assert "Pro" in pymeter("plan", "list").out
    pymeter("limit", "set", "tokens", "5", "--plan", "pro")
    assert "no subscription" in pymeter("subscriptions", "acct_1").out
    begun = pymeter("subscribe", "acct_1", "pro", "--since", "2026-06-01")
    assert begun.out == "✓ acct_1 has pro in 2026-06-01 → … UTC\n"
    assert pymeter("record", "acct_1", "tokens", "6").status == 1
    ended = pymeter("unsubscribe", "acct_1", "pro", "--at", "2026-07-01")
    assert ended.out == "✓ acct_1 has pro in 2026-06-01 → 2026-07-01 UTC\n"
    assert "2026-07-01 00:00:00" in pymeter("subscriptions", "acct_1").out
    assert pymeter("subscriptions", "acct_1", "--at", "2026-07-01", "--json").json == []
    later = pymeter("subscribe", "acct_1", "pro", "--since", "2030-01-01")
    assert later.status == 0
    assert pymeter("unsubscribe", "acct_1", "pro").out == "✓ acct_1 will not have pro\n"


def test_a_billing_cycle_is_shown_and_set(pymeter: Run) -> None:
    assert pymeter("cycle", "show", "acct_1", "--at", "2026-06-18").out == (
        "acct_1  2026-06-01 → 2026-07-01 UTC\n"
    )
    ran = pymeter("cycle", "set", "acct_1", "2026-01-31T09:00", "-z", "Europe/Berlin")
    assert ran.out == (
        "✓ acct_1: a cycle each month from 2026-01-31 09:00:00 Europe/Berlin, since 2026-01-31 09:00:00\n"
    )
    cycle = pymeter("cycle", "show", "acct_1", "--at", "2026-06-18", "--json").json
    assert cycle == {"since": "2026-05-31T07:00:00Z", "until": "2026-06-30T07:00:00Z"}
    assert pymeter("cycle", "set", "acct_1", "2026-01-31", "--every", "fortnight").status == 2


def test_settings_are_listed_set_and_restored(pymeter: Run) -> None:
    assert "notifications_keep" in pymeter("settings", "list").out
    default = {row["name"]: row["default_value"] for row in pymeter("settings", "list", "--json").json}
    assert pymeter("settings", "set", "notifications_keep", "30 days").out == (
        "✓ notifications_keep is 30 days\n"
    )
    restored = pymeter("settings", "set", "notifications_keep").out
    assert restored == f"✓ notifications_keep is {default['notifications_keep']} (default)\n"
    assert pymeter("settings", "set", "colour", "red").status == 2


def test_who_changed_what_is_in_the_log(pymeter: Run) -> None:
    pymeter("limit", "set", "tokens", "10")
    pymeter("limit", "set", "tokens", "20.5")
    pymeter("settings", "set", "notifications_keep", "30 days")
    shown = pymeter("log", "tokens").out
    assert "quota 10 → 20.5" in shown
    assert "define_metric" in shown
    assert "set_setting" not in shown
    newest, *_ = pymeter("log", "--json").json
    assert (newest["action"], newest["after"]) == ("set_setting", "30 days")
    changed = pymeter("log", "tokens", "-n", "1", "--json").json[0]
    assert (changed["before"]["quota"], changed["after"]["quota"]) == (10, 20.5)
    assert f"--before-id {newest['entry_id']}" in pymeter("log", "-n", "1").out
    assert pymeter("log", "nothing").out == "nothing was changed\n"


def test_notifications_are_listed(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pymeter("limit", "set", "tokens", "10")
    pymeter("record", "acct_1", "tokens", "9")
    pymeter("record", "acct_1", "tokens", "9")
    rows = pymeter("notifications", "-s", "acct_1", "--json").json
    assert [row["type"] for row in rows] == ["threshold.approaching", "limit.refused"]
    assert pymeter("notifications", "-s", "acct_1", "--newest", "--json").json == rows[::-1]
    shown = pymeter("notifications", "--type", "limit.refused").out
    assert "acct_1" in shown
    assert "approaching" not in shown
    assert "--after-id" in pymeter("notifications", "-n", "1").out
    # On a narrow terminal the data stands below what it is of, in words.
    monkeypatch.setenv("COLUMNS", "80")
    narrow = pymeter("notifications", "--type", "limit.refused").out
    (data,) = [line for line in narrow.splitlines() if "unit: " in line]
    assert "limit.refused  acct_1  tokens" in narrow
    assert "{" not in data
    assert pymeter("notifications", "-t", "none").out == "no notifications\n"


def test_an_import_counts_what_has_happened_beyond_a_limit(pymeter: Run, tmp_path: Path) -> None:
    pymeter("limit", "set", "tokens", "10")
    lines = [{"subject": "acct_1", "metric": "tokens", "quantity": 9, "idempotency_key": k} for k in "abc"]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ran = pymeter("import", "events.jsonl", "--json")
    assert ran.status == 0
    assert pymeter("usage", "acct_1", "tokens", "--json").json["quantity"] == "27"

"""Judgements by a clock that is ahead or goes back, and cycles that change while something is blocked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.budgets.spender import SUBJECT, Spender, day
from tests.conftest import Connect
from tests.helpers import Ledger

AHEAD = timedelta(hours=20)


def live_limits(spender: Spender, when: datetime) -> int:
    """How many limits of budgets will refuse events then, if nobody judges."""
    limits = spender.ledger.call("limits", subject=SUBJECT, at=when)
    return sum(row.name == "budget EUR" for row in limits)


def test_a_budget_that_is_raised_after_a_judgement_ahead_of_the_clock_blocks_nothing(
    spender: Spender,
) -> None:
    now = datetime.now(UTC)
    spender.budget(10, subject=SUBJECT, action="block", period="year")
    spender.use(20, now)
    spender.judge(now + AHEAD)
    spender.budget(1000, subject=SUBJECT, action="block", period="year", since=None)
    spender.judge(now + AHEAD + timedelta(seconds=1))
    assert live_limits(spender, now + 2 * AHEAD) == 0


def test_a_judgement_of_the_next_period_leaves_no_block_behind_when_the_budget_is_removed(
    spender: Spender,
) -> None:
    """Everyone's budget is not lifted by its removal: only by what judges next, for today."""
    now = datetime.now(UTC)
    spender.budget(10, action="block", period="day")
    spender.use(20, now)
    spender.judge(now)
    spender.judge(now + timedelta(days=1) - timedelta(seconds=1))
    spender.ledger.call("remove_budget", currency="EUR", period="day")
    spender.judge(datetime.now(UTC))
    assert spender.use(1, datetime.now(UTC)).outcome == "recorded"


def test_after_the_clock_was_set_back_subjects_are_judged_by_what_it_says(spender: Spender) -> None:
    now = datetime.now(UTC)
    spender.budget(10, action="block", period="year")
    spender.judge(now + AHEAD)
    spender.use(20, now)
    spender.judge(datetime.now(UTC))
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"


def test_a_clock_that_crosses_the_end_of_a_period_and_goes_back_tells_nothing_twice(spender: Spender) -> None:
    spender.budget(10)
    spender.use(20, day(30))
    spender.judge(day(30, hour=23))
    told = spender.told()
    spender.judge(day(1, month=7, hour=1))
    spender.use(1, day(30))
    spender.ledger.execute("UPDATE meter.budget_judgements SET judged_at = %s", [day(30, hour=1)])
    spender.judge(day(30, hour=23))
    assert spender.told() == told


def test_what_is_blocked_ends_with_a_cycle_that_was_cut_since_without_a_judgement(spender: Spender) -> None:
    now = datetime.now(UTC)
    ledger = spender.ledger
    first = (now - timedelta(days=3)).replace(microsecond=0)
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=first, every="year")
    spender.budget(10, action="block")
    spender.use(20, now)
    spender.judge(datetime.now(UTC))
    assert spender.use(1, now).outcome == "refused"
    soon = datetime.now(UTC) + timedelta(milliseconds=700)
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=soon, every="month")
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    ledger.execute("SELECT pg_sleep(1)")
    for _ in range(30):
        assert spender.use(1, datetime.now(UTC)).outcome == "recorded"


def test_a_cycle_that_was_made_longer_stays_blocked(spender: Spender) -> None:
    now = datetime.now(UTC)
    ledger = spender.ledger
    first = (now - timedelta(days=3)).replace(microsecond=0)
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=first, every="week")
    spender.budget(10, action="block")
    spender.use(20, now)
    spender.judge(datetime.now(UTC))
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=first, every="year", since=first)
    spender.judge(datetime.now(UTC))
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    assert live_limits(spender, first + timedelta(days=8)) == 1


def test_an_event_that_is_counted_all_the_same_is_told_of_once_as_refused(spender: Spender) -> None:
    now = datetime.now(UTC)
    spender.budget(10, action="block")
    spender.use(20, now)
    for _ in range(4):
        spender.judge(datetime.now(UTC))
        assert spender.use(1, now).outcome == "refused"
        spender.use(1, now, overflow=True)
    told = [row.type for row in spender.ledger.call("notifications", subject=SUBJECT)]
    assert told.count("limit.refused") == 1
    assert spender.ledger.value("SELECT count(*) FROM meter.limits WHERE NOT removed") == 1


def test_a_recorder_of_a_metric_without_a_price_holds_up_no_judgement(
    spender: Spender, connect: Connect
) -> None:
    now = datetime.now(UTC)
    spender.budget(10, action="block")
    spender.use(20, now)
    spender.ledger.call("set_limit", metric="notes", quota=1000)
    spender.ledger.call("set_limit", metric="tokens", quota=1000)
    spender.ledger.record(SUBJECT, "notes")
    recorder = Ledger(connect("recorder", autocommit=False))
    recorder.record(SUBJECT, "notes")
    begun = datetime.now(UTC)
    spender.judge(datetime.now(UTC))
    assert datetime.now(UTC) - begun < timedelta(seconds=1)


def test_health_says_who_cannot_be_judged_and_that_nobody_judges(spender: Spender, connect: Connect) -> None:
    spender.budget(10, action="block")
    spender.use(20, datetime.now(UTC))
    recorder = Ledger(connect("recorder", autocommit=False))
    spender.ledger.call("set_limit", metric="tokens", quota=1000)
    recorder.record(SUBJECT, "tokens", 1)
    spender.judge(datetime.now(UTC))
    recorder.connection.rollback()
    (found,) = spender.ledger.call("health")
    assert any(
        "could not be judged: 1, among them 'acct_1'" in notice and "55P03" in notice
        for notice in found.notices
    ), found
    spender.judge(datetime.now(UTC))
    (found,) = spender.ledger.call("health")
    assert not any("budget" in text for text in (*found.notices, *found.problems))
    (found,) = spender.ledger.call("health", now=datetime.now(UTC) + timedelta(days=2))
    assert any("budgets have not been judged for a day" in text for text in found.problems)


@pytest.mark.parametrize("scope", ["plan", "everyone"])
def test_a_budget_that_nobody_has_needs_no_judge(ledger: Ledger, scope: str) -> None:
    """Nobody could make health() well again: there is nobody to judge."""
    ledger.define("tokens", "sum")
    ledger.call("define_plan", plan="pro")
    ledger.call("set_budget", amount=10, currency="EUR", **({"plan": "pro"} if scope == "plan" else {}))
    assert judging_problems(ledger) == []
    if scope == "plan":
        ledger.call("subscribe", subject=SUBJECT, plan="pro")
    else:
        ledger.record(SUBJECT, "tokens", 1)
    assert len(judging_problems(ledger)) == 1


def test_a_budget_that_was_removed_needs_a_judge_while_something_is_blocked(spender: Spender) -> None:
    spender.budget(10, action="block", subject=SUBJECT)
    assert len(judging_problems(spender.ledger)) == 1
    spender.ledger.call("remove_budget", currency="EUR", subject=SUBJECT)
    assert judging_problems(spender.ledger) == []
    spender.ledger.call("set_budget", amount=10, currency="EUR", action="block")
    spender.use(20, datetime.now(UTC))
    spender.judge(datetime.now(UTC))
    spender.ledger.call("remove_budget", currency="EUR")
    assert len(judging_problems(spender.ledger)) == 1
    spender.judge(datetime.now(UTC))
    assert judging_problems(spender.ledger) == []


def judging_problems(ledger: Ledger) -> list[str]:
    (found,) = ledger.call("health", now=datetime.now(UTC) + timedelta(hours=47))
    return [text for text in found.problems if "judged" in text]

"""Budgets in money, worked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.budgets.spender import SUBJECT, Spender, day
from tests.helpers import refused

APPROACHING, EXCEEDED, CLEARED = "budget.approaching", "budget.exceeded", "budget.cleared"


def test_marks_fire_once_in_a_period_and_anew_in_the_next(spender: Spender) -> None:
    spender.budget(100)
    spender.use(79, day(2))
    assert spender.judge(day(3)).approaching == 0
    spender.use(1, day(3))
    assert spender.judge(day(4)).approaching == 1
    assert spender.judge(day(5)).approaching == 0
    spender.use(70, day(6))
    spender.judge(day(7))
    spender.judge(day(8))
    assert spender.told() == [(APPROACHING, 80), (EXCEEDED, 100)]
    spender.use(100, day(1, month=7))
    spender.judge(day(2, month=7))
    assert spender.told() == [(APPROACHING, 80), (EXCEEDED, 100)] * 2


def test_a_spent_budget_refuses_events_from_the_judgement_to_the_end_of_the_cycle(spender: Spender) -> None:
    spender.budget(100, action="block")
    spender.use(100, day(2))
    assert spender.use(50, day(3)).outcome == "recorded"
    found = spender.judge(day(4))
    assert (found.exceeded, found.blocked) == (1, 1), spender.status(day(4))
    refused_event = spender.use(1, day(5))
    assert (refused_event.outcome, refused_event.limited_by) == ("refused", "budget EUR")
    quota = spender.ledger.call("check_quota", subject=SUBJECT, metric="tokens", now=day(5))[0]
    assert (quota.allowed, quota.used, quota.limited_by) == (False, 150, "budget EUR")
    assert spender.use(1, day(5), overflow=True).outcome == "recorded"
    assert spender.use(1, day(1, month=5)).outcome == "recorded", "an earlier period is not refused"
    assert spender.use(1, day(1, month=7)).outcome == "recorded", "nobody has judged since"
    assert spender.status(day(5))[0].blocked
    assert not spender.status(day(2, month=7))[0].blocked


def test_a_credit_a_tax_and_a_correction_count(spender: Spender) -> None:
    spender.budget(100, action="block")
    spender.use(100, day(2))
    spender.judge(day(3))
    spender.grant(30)
    found = spender.judge(day(4))
    assert (found.cleared, found.released) == (2, 1)
    assert spender.spent(day(4)) == 70
    assert spender.use(1, day(4)).outcome == "recorded"
    spender.ledger.call("set_tax", subject=SUBJECT, percent=50)
    spender.judge(day(5))
    assert spender.use(1, day(5)).outcome == "refused"
    spender.adjust(-71, day(5))
    spender.judge(day(6))
    assert spender.spent(day(6)) == 0
    assert spender.use(1, day(6)).outcome == "recorded"
    assert spender.told() == [
        (APPROACHING, 80), (EXCEEDED, 100), (CLEARED, 100), (CLEARED, 80),
        (APPROACHING, 80), (EXCEEDED, 100), (CLEARED, 100), (CLEARED, 80),
    ]  # fmt: skip


def test_a_released_reservation_and_usage_that_is_taken_back_do_not_open_a_block(spender: Spender) -> None:
    now = datetime.now(UTC)
    spender.budget(10, action="block")
    spender.use(50, now)
    given = {"subject": SUBJECT, "metric": "tokens", "quantity": 5}
    held = spender.ledger.call("reserve", **given)[0]
    spender.judge(datetime.now(UTC))
    assert spender.ledger.call("reserve", **given)[0].outcome == "refused"
    spender.ledger.call("release", reservation_id=held.reservation_id)
    spender.adjust(-20, now)
    spender.judge(datetime.now(UTC))
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    assert spender.ledger.call("overruns") == []


def test_a_reservation_that_is_settled_for_more_is_no_overrun_after_the_next_judgement(
    spender: Spender,
) -> None:
    spender.budget(10, action="block")
    spender.use(50, datetime.now(UTC))
    held = spender.ledger.call("reserve", subject=SUBJECT, metric="tokens", quantity=5)[0]
    spender.judge(datetime.now(UTC))
    spender.ledger.call("settle", reservation_id=held.reservation_id, quantity=9)
    (overrun,) = spender.ledger.call("overruns")
    assert (overrun.limited_by, overrun.overrun, overrun.cause) == ("budget EUR", 4, "settle")
    spender.judge(datetime.now(UTC))
    assert spender.ledger.call("overruns") == []
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"


@pytest.mark.parametrize("change", ["raise", "remove", "alert", "unlimited"])
def test_a_budget_of_the_subject_that_changes_lifts_its_block_in_the_same_call(
    spender: Spender, change: str
) -> None:
    spender.budget(10, subject=SUBJECT, action="block")
    spender.use(20, datetime.now(UTC))
    spender.judge(datetime.now(UTC))
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    spender.budget(11, subject=SUBJECT, action="block", since=None)
    assert spender.use(1, datetime.now(UTC)).outcome == "refused", "still spent"
    if change == "remove":
        spender.ledger.call("remove_budget", currency="EUR", subject=SUBJECT)
    else:
        amount = {"raise": 21, "alert": 11, "unlimited": None}[change]
        action = "alert" if change == "alert" else "block"
        spender.budget(amount, subject=SUBJECT, action=action, since=None)
    assert spender.use(1, datetime.now(UTC)).outcome == "recorded"


def test_the_subjects_own_budget_counts_before_the_plans_and_everyones(spender: Spender) -> None:
    spender.budget(1000)
    spender.ledger.call("define_plan", plan="team")
    spender.subscribe(SUBJECT, "team")
    assert spender.status(day(1))[0].source == "everyone"
    spender.budget(500, plan="pro")
    spender.budget(300, plan="team", action="none")
    assert [(row.source, row.plan, row.amount) for row in spender.status(day(1))] == [("plan", "pro", 500)]
    spender.budget(None, subject=SUBJECT)
    (row,) = spender.status(day(1))
    assert (row.source, row.amount, row.remaining, row.percent) == ("subject", None, None, None)


def test_a_metric_without_a_price_is_not_blocked(spender: Spender) -> None:
    spender.budget(0, action="block")
    spender.judge(day(2))
    assert spender.use(1, day(2)).outcome == "refused"
    assert spender.ledger.record(SUBJECT, "notes", at=day(2)).outcome == "recorded"


def test_an_unknown_total_fires_nothing_and_releases_nothing(spender: Spender) -> None:
    spender.budget(10, action="block")
    spender.use(20, day(2))
    spender.judge(day(3))
    cells = [{"when": {"model": "big"}, "price": {"model": "unit", "unit_amount": "1"}}]
    price = {"model": "matrix", "currency": "EUR", "dimensions": ["model"], "cells": cells}
    spender.price("notes", price, metric="notes")
    spender.ledger.record(SUBJECT, "notes", at=day(3))
    assert spender.judge(day(4)).failed == 0
    (row,) = spender.status(day(4))
    assert (row.spent, row.remaining, row.blocked) == (None, None, True)
    assert "unknown" in row.reason
    assert spender.use(1, day(4)).outcome == "refused"
    spender.budget(1000, since=day(5), action="block")
    spender.judge(day(6))
    assert spender.use(1, day(6)).outcome == "refused", "unknown releases nothing"
    assert spender.told() == [(APPROACHING, 80), (EXCEEDED, 100)]


def test_one_subject_that_cannot_be_judged_does_not_stop_the_others(spender: Spender) -> None:
    spender.budget(10, action="block")
    for subject in ("a", "b", "c"):
        spender.subscribe(subject)
        spender.use(20, day(2), subject)
    broken = "UPDATE meter.cycle_history SET timezones = '{Nowhere/Never}' WHERE subject = 'b'"
    spender.ledger.call("set_billing_cycle", subject="b", anchor=day(1), timezone="Europe/Berlin")
    spender.ledger.execute(broken)
    found = spender.judge(day(3))
    assert (found.failed, found.blocked) == (1, 2), "acct_1 has spent nothing"
    stored = spender.ledger.row("SELECT sqlstate, message FROM meter.budget_judgements WHERE subject = 'b'")
    assert stored.sqlstate == "22023"
    spender.ledger.execute("UPDATE meter.cycle_history SET timezones = '{Europe/Berlin}' WHERE subject = 'b'")
    found = spender.judge(day(4))
    assert (found.failed, found.blocked) == (0, 1)


def test_a_projected_mark_fires_by_itself_and_blocks_nothing(spender: Spender) -> None:
    spender.budget(100, action="block", projected=True)
    for number in range(1, 30):
        spender.use(3, day(number, month=5, hour=1))
    for number in range(1, 11):
        spender.use(6, day(number, hour=1))
    spender.judge(day(11))
    told = [row for row in spender.ledger.call("notifications") if row.type.startswith("budget")]
    assert {(row.type, row.data["projected"]) for row in told} == {(APPROACHING, True), (EXCEEDED, True)}
    assert spender.use(1, day(11)).outcome == "recorded"
    spender.judge(day(12))
    assert len(spender.told()) == len(told)
    (row,) = spender.status(day(12))
    assert row.projected > 100
    with refused("22023", "projected"):
        spender.budget(100, period="month", projected=True)


def test_a_cycle_of_its_own_is_the_period(spender: Spender) -> None:
    spender.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=day(10, month=1))
    spender.budget(100, action="block")
    spender.use(100, day(9))
    spender.use(50, day(10))
    spender.judge(day(11))
    (row,) = spender.status(day(11))
    assert (row.since, row.until, row.spent, row.blocked) == (day(10), day(10, month=7), 50, False)


@pytest.mark.parametrize(
    ("broken", "sqlstate", "parameter"),
    [
        ({"amount": -1}, "22023", "amount"), ({"amount": "0.001"}, "22023", "amount"),
        ({"currency": "XXX"}, "22023", "currency"), ({"period": "hour"}, "22023", "period"),
        ({"period": "30 days"}, "22023", "period"), ({"action": "stop"}, "22023", "action"),
        ({"marks": [0]}, "22023", "marks"), ({"plan": "nope"}, "UM007", "plan"),
        ({"plan": "pro", "subject": "a"}, "22023", "plan"), ({"subject": " "}, "22023", "subject"),
    ],
)  # fmt: skip
def test_bad_values_are_refused(
    spender: Spender, broken: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    given = {"amount": 10, "currency": "EUR", **broken}
    given["amount"] = Decimal(given["amount"])
    with refused(sqlstate, parameter):
        spender.ledger.call("set_budget", **given)
    assert spender.ledger.call("budgets") == []


def test_other_bad_calls_are_refused(spender: Spender) -> None:
    with refused("UM007", "currency"):
        spender.ledger.call("remove_budget", currency="EUR")
    with refused("22023", "max_subjects"):
        spender.ledger.call("judge_budgets", max_subjects=0)
    with refused("22023", "now"):
        spender.ledger.call("judge_budgets", now=datetime.now(UTC) + timedelta(days=2))
    with refused("22023", "name"):
        spender.ledger.call("set_limit", metric="tokens", quota=5, name="budget EUR")


def test_a_repetition_changes_nothing_and_a_change_is_logged(spender: Spender) -> None:
    first = spender.budget(100, since=None)
    assert spender.budget(100, since=None) == first
    spender.budget(200, since=None)
    ended = spender.ledger.call("remove_budget", currency="EUR")[0]
    assert ended.removed
    logged = [row.action for row in spender.ledger.call("admin_log", object="everyone")]
    assert logged == ["remove_budget", "set_budget", "set_budget"]
    assert spender.ledger.call("budgets") == []

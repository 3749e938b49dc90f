"""Budgets in money, worked."""

from __future__ import annotations

from tests.budgets.spender import SUBJECT, Spender, day

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

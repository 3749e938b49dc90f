"""Judgements that meet each other, recorders, changes of budgets, and their own death."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.budgets.spender import SUBJECT, Spender, day
from tests.conftest import Connect
from tests.helpers import Ledger

Wait = Callable[[psycopg.Connection[Any], str], None]


def spend(spender: Spender, *subjects: str) -> None:
    """Each has spent twice its budget."""
    spender.budget(10, action="block")
    for subject in subjects:
        if subject != SUBJECT:
            spender.subscribe(subject)
        spender.use(20, datetime.now(UTC), subject)


def test_two_judges_share_the_subjects_and_tell_once(spender: Spender, connect: Connect) -> None:
    names = tuple(f"s{number}" for number in range(6))
    spend(spender, *names)
    spender.ledger.call("set_limit", metric="tokens", quota=1000)
    spender.judge(datetime.now(UTC) - timedelta(days=400))  # all are known, and nothing is spent yet
    first, second = Ledger(connect("first", autocommit=False)), Ledger(connect("second"))
    now = datetime.now(UTC)
    (one,) = first.call("judge_budgets", now=now, max_subjects=3)
    (other,) = second.call("judge_budgets", now=now)
    first.connection.commit()
    assert one.judged == 3
    assert other.judged == 4, "the first three are left to the first"
    spender.judge(now)
    for subject in names:
        assert [kind for kind, _ in spender.told(subject)] == ["budget.approaching", "budget.exceeded"]


def test_a_judge_that_dies_has_changed_nothing_and_the_next_one_does_it_all(
    spender: Spender, connect: Connect
) -> None:
    spend(spender, SUBJECT)
    dying = connect("dying", autocommit=False)
    assert Ledger(dying).call("judge_budgets")[0].blocked == 1
    pid = dying.info.backend_pid
    spender.ledger.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert spender.told() == []
    assert spender.use(1, datetime.now(UTC)).outcome == "recorded"
    assert spender.judge(datetime.now(UTC)).blocked == 1
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    assert len(spender.told()) == 2


def test_a_recorder_that_waits_for_the_judge_is_refused(
    spender: Spender, connect: Connect, wait_until_blocked: Wait
) -> None:
    spend(spender, SUBJECT)
    spender.ledger.call("set_limit", metric="tokens", quota=1000)
    judge, recorder = Ledger(connect("judge", autocommit=False)), Ledger(connect("recorder"))
    assert judge.call("judge_budgets")[0].blocked == 1
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(recorder.record(SUBJECT, "tokens", 1)))
    thread.start()
    wait_until_blocked(spender.ledger.connection, "recorder")
    judge.connection.commit()
    thread.join()
    assert (found[0].outcome, found[0].limited_by) == ("refused", "budget EUR")


def test_usage_that_is_being_recorded_makes_the_judge_try_again_and_is_no_overrun(
    spender: Spender, connect: Connect
) -> None:
    spend(spender, SUBJECT)
    spender.ledger.call("set_limit", metric="tokens", quota=1000)
    recorder = Ledger(connect("recorder", autocommit=False))
    assert recorder.record(SUBJECT, "tokens", 7).outcome == "recorded"
    found = spender.judge(datetime.now(UTC))
    assert (found.blocked, found.failed) == (0, 1)
    assert spender.status(datetime.now(UTC))[0].reason.endswith("(55P03)")
    assert spender.told() == [], "all of the subject is judged, or nothing"
    recorder.connection.commit()
    assert spender.judge(datetime.now(UTC)).blocked == 1
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    assert spender.ledger.call("overruns") == []


def test_a_budget_that_is_raised_while_it_is_judged_is_lifted_by_the_next_judgement(
    spender: Spender, connect: Connect
) -> None:
    spend(spender, SUBJECT)
    spender.budget(10, subject=SUBJECT, action="block")
    judge = Ledger(connect("judge", autocommit=False))
    assert judge.call("judge_budgets")[0].blocked == 1
    spender.budget(1000, subject=SUBJECT, action="block", since=None)  # waits for 2 seconds, and leaves it
    judge.connection.commit()
    assert spender.use(1, datetime.now(UTC)).outcome == "refused"
    assert spender.judge(datetime.now(UTC)).released == 1
    assert spender.use(1, datetime.now(UTC)).outcome == "recorded"


@pytest.mark.parametrize("closed", [False, True])
def test_subjects_that_are_priced_together_owe_what_their_invoices_say(
    spender: Spender, closed: bool
) -> None:
    tiers = [{"up_to": 7, "unit_amount": "0.333"}, {"up_to": None, "unit_amount": "0.1", "flat_amount": "2"}]
    spender.price("notes", {"model": "graduated", "currency": "EUR", "tiers": tiers}, metric="notes")
    spender.price("tokens", {"model": "unit", "unit_amount": "1.5"}, metric="tokens", since=day(11))
    spender.price("fee", {"model": "flat", "flat_amount": "9.99"}, since=day(4))
    names = [f"s{number}" for number in range(40)]
    for number, subject in enumerate(names):
        spender.subscribe(subject)
        for count in range(number):
            spender.use("0.7", day(count % 28 + 1), subject)
            spender.ledger.record(subject, "notes", at=day(count % 20 + 1, month=5 + count % 2))
        if number % 3 == 0:
            spender.grant("3.21", subject)
        if number % 4 == 0:
            spender.ledger.call("set_tax", subject=subject, percent=19, inclusive=number % 8 == 0)
        if closed:
            window = {"since": day(1, month=5), "until": day(1)}
            spender.ledger.call("close_period", subject=subject, **window)
    spender.budget(20)
    spender.budget(5, period="week")
    totals = "SELECT count(DISTINCT subject) FROM unnest(meter._common_totals(%s, %s))"
    assert spender.ledger.value(totals, [names, day(15)]) == 40, "none of them is priced alone"
    spender.judge(day(15))
    stored = spender.ledger.rows("SELECT * FROM meter.budget_spending WHERE subject <> %s", [SUBJECT])
    assert len(stored) == 80
    for row in stored:
        lines = spender.ledger.call("invoice", subject=row.subject, since=row.since, until=row.until)
        assert row.spent == next(line.amount for line in lines if line.kind == "total"), row

"""Billing cycles and plans that change beside statements: what is closed stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.close.closing import AUGUST, JULY, JUNE, assert_balanced, close, documents, use
from tests.helpers import Ledger, Task, at, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]


@pytest.fixture
def closed(ledger: Ledger) -> Ledger:
    """June is closed."""
    ledger.define("sum", "sum")
    ledger.define("max", "max")
    use(ledger, "a", "sum", 5, at("2026-06-10"))
    use(ledger, "a", "max", 5, at("2026-06-10"))
    close(ledger)
    return ledger


@pytest.mark.parametrize("since", ["2026-05-20", "2026-06-01", "2026-06-15", "2026-06-24"])
def test_a_cycle_that_would_begin_within_what_is_closed_is_refused(closed: Ledger, since: str) -> None:
    before = closed.rows("SELECT * FROM meter.billing_cycles")
    with refused("UM004", "since"):
        closed.call("set_billing_cycle", subject="a", anchor=at("2026-01-15"), every="week", since=at(since))
    with refused("UM004", "since"):
        closed.call("set_billing_cycle", subject="a", anchor=at("2026-06-15"))
    assert closed.rows("SELECT * FROM meter.billing_cycles") == before
    assert closed.call("set_billing_cycle", subject="b", anchor=at("2026-06-15"))[0].since == at("2026-06-15")


def test_a_cycle_that_begins_at_the_end_of_the_last_statement_or_later_is_set(closed: Ledger) -> None:
    rule = closed.call("set_billing_cycle", subject="a", anchor=JULY, every="week")[0]
    assert rule.since == JULY
    rule = closed.call("set_billing_cycle", subject="a", anchor=at("2026-07-15"), since=at("2026-07-03"))[0]
    assert rule.since == at("2026-07-15")
    assert closed.call("verify_statements") == []


def test_the_same_rule_again_is_no_change_of_what_is_closed(ledger: Ledger) -> None:
    ledger.define("sum", "sum")
    rule = ledger.call("set_billing_cycle", subject="a", anchor=at("2026-05-15"))
    close(ledger, since=at("2026-05-15"), until=at("2026-06-15"))
    assert ledger.call("set_billing_cycle", subject="a", anchor=at("2026-05-15")) == rule


def test_what_is_closed_next_follows_the_new_cycle_without_gap_or_overlap(closed: Ledger) -> None:
    """July is cut on the 15th; from then on it is weeks."""
    closed.call(
        "set_billing_cycle", subject="a", anchor=at("2026-07-15"), every="week", since=at("2026-07-09")
    )
    done = []
    for _ in range(20):
        rows = closed.call("close_due", now=at("2026-08-10"))
        if not rows:
            break
        done += rows
    periods = [(row.since, row.until) for row in done if row.subject == "a"]
    assert {row.outcome for row in done} == {"closed"}
    assert periods[0] == (JULY, at("2026-07-15"))
    assert periods[1:] == [
        (at("2026-07-15") + timedelta(days=7 * n), at("2026-07-22") + timedelta(days=7 * n)) for n in range(3)
    ]
    assert closed.call("verify_statements") == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_plans_of_the_past_do_not_change_what_was_stated(closed: Ledger, when: str) -> None:
    """A plan that is said to have begun in June counts in statements that are written from then on."""
    before = documents(closed)
    closed.call("define_plan", plan="pro")
    if when == "before":
        closed.call("subscribe", subject="a", plan="pro", since=at("2026-06-10"))
    else:
        closed.call("subscribe", subject="a", plan="pro", since=at("2026-07-16 12:00"))
    use(closed, "a", "max", 8, at("2026-07-03"))
    july = close(closed, since=JULY)
    (line,) = (
        line for line in closed.call("statement", statement_id=july.statement_id) if line.metric == "max"
    )
    assert line.quantity == (8 if when == "before" else 4)
    assert documents(closed)[1] == before[1]
    assert closed.call("late_usage") == []
    assert closed.call("verify_statements") == []
    closed.call("unsubscribe", subject="a", plan="pro", at=at("2026-07-20"))
    assert closed.call("late_usage") == []
    assert closed.call("verify_statements") == []
    assert_balanced(closed)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_cycle_that_is_set_while_its_subject_is_closed(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    """It begins before the end of the statement that it has waited for."""
    ledger.define("sum", "sum")
    ledger.call("set_limit", metric="sum", quota=100)
    use(ledger, "a", "sum", 5, at("2026-06-10"))
    closer, setter = new_ledger("closer", autocommit=False), new_ledger("setter")
    close(closer)
    setting = Task(lambda: setter.call("set_billing_cycle", subject="a", anchor=at("2026-06-15")))
    wait_until_blocked(ledger.connection, "setter")
    getattr(closer.connection, end)()
    error = setting.error()
    assert (error.sqlstate if error else None) == ("UM004" if end == "commit" else None)
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("limited", [False, True])
def test_a_cycle_that_is_not_committed_when_its_subject_is_closed(
    ledger: Ledger, new_ledger: NewLedger, limited: bool
) -> None:
    """Either the closer gives up, or the cycle that begins within the statement is not there."""
    ledger.define("sum", "sum")
    if limited:
        ledger.call("set_limit", metric="sum", quota=100)
    use(ledger, "a", "sum", 5, at("2026-06-10"))
    setter = new_ledger("setter", autocommit=False)
    setter.call("set_billing_cycle", subject="a", anchor=at("2026-06-15"))
    with refused("55P03"):
        close(ledger, since=JUNE, until=AUGUST)
    setter.connection.commit()
    close(ledger, since=JUNE, until=AUGUST)
    with refused("UM004", "since"):
        ledger.call("set_billing_cycle", subject="a", anchor=at("2026-06-16"), since=JUNE)


def test_due_subjects_are_found_again_after_their_cycle_became_shorter(closed: Ledger) -> None:
    while closed.call("close_due", now=at("2026-07-10")):
        pass
    assert closed.call("close_due", now=at("2026-07-20")) == []
    closed.call("set_billing_cycle", subject="a", anchor=at("2026-07-15"), since=at("2026-07-11"))
    (row,) = closed.call("close_due", now=at("2026-07-20"))
    assert (row.since, row.until, row.outcome) == (JULY, at("2026-07-15"), "closed")

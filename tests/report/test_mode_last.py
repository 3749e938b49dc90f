"""Mode last: a biller keeps one value per customer, event name and period; no value overwrites another's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.helpers import Task, refused
from tests.report.conftest import DAY, Journal

NewJournal = Callable[..., Journal]
WaitUntilBlocked = Callable[[psycopg.Connection[Any], str], None]


def kept_by_biller(delivered: list[Any]) -> dict[tuple[str, str], Decimal]:
    """What a meter with the formula last has after all that: the latest."""
    return {(c.customer, c.event_name): Decimal(c.value) for c in delivered}


@pytest.fixture
def seats(journal: Journal) -> Journal:
    journal.metric("seats", "last", mode="last", period="day")
    return journal


# ------------------------------------------------------------------------------------ at mapping


@pytest.mark.parametrize("steps", list(itertools.permutations(["metric", "subject", "usage"])))
def test_two_subjects_of_one_customer_never_overwrite_each_other_in_any_order(
    journal: Journal, steps: tuple[str, ...]
) -> None:
    """Refused where both have values already; else the second is held and counted."""
    journal.ledger.define("seats", "last", period="day")
    refusals = 0
    for step in steps:
        try:
            if step == "metric":
                journal.map("seats", "seats", "last")
            elif step == "subject":
                journal.customer("acct_2", "cus_1")
            else:
                journal.record(50, metric="seats")
                journal.record(3, metric="seats", subject="acct_2")
        except psycopg.errors.InvalidParameterValue:
            refusals += 1
    assert refusals == (steps[-1] != "usage")
    delivered = journal.deliver()
    if steps[-1] == "metric":
        assert delivered == []
        return
    status = journal.status(metric="seats")
    billed = sum(kept_by_biller(delivered).values())
    assert status["delivered"].quantity == billed
    if not refusals:
        assert (billed, status["held"].quantity) == (50, 3)
        assert [p.reason for p in journal.pushes(state="held")] == ["ambiguous"]


def test_a_second_metric_under_its_event_name_is_refused(seats: Journal) -> None:
    seats.ledger.define("desks", "last", period="day")
    seats.ledger.define("rooms", "sum")
    for metric, mode in (("desks", "last"), ("rooms", "delta"), ("rooms", "event")):
        with refused("22023", "event_name"):
            seats.map(metric, "seats", mode)
    seats.map("rooms", "rooms")
    with refused("22023", "event_name"):
        seats.map("seats", "rooms", "last")
    assert seats.map("desks", "seats", "last", biller="other").event_name == "seats"
    seats.map("seats", None)
    assert seats.map("desks", "seats", "last").event_name == "seats"


def test_a_mode_last_is_refused_for_an_event_name_that_metrics_share(journal: Journal) -> None:
    journal.metric("calls", "count")
    journal.map("calls", "tokens")
    journal.ledger.define("level", "sum")
    journal.map("level", "level", "last")
    with refused("22023", "event_name"):
        journal.map("calls", "tokens", "last")


def test_of_two_concurrent_mappings_the_second_is_refused(
    seats: Journal, new_journal: NewJournal, wait_until_blocked: WaitUntilBlocked
) -> None:
    first, second = new_journal("first", autocommit=False), new_journal("second")
    seats.customer(customer=None)
    for subject in ("acct_1", "acct_2"):
        seats.record(5, metric="seats", subject=subject)
    first.customer("acct_1", "cus_1")
    mapping = Task(lambda: second.customer("acct_2", "cus_1"))
    wait_until_blocked(seats.ledger.connection, "second")
    first.ledger.connection.commit()
    error = mapping.error()
    assert error is not None
    assert (error.sqlstate, error.diag.column_name) == ("22023", "customer")
    assert [(c.subject, c.customer) for c in seats.deliver()] == [("acct_1", "cus_1")]


def test_of_two_concurrent_metrics_under_one_event_name_the_second_is_refused(
    journal: Journal, new_journal: NewJournal, wait_until_blocked: WaitUntilBlocked
) -> None:
    first, second = new_journal("first", autocommit=False), new_journal("second")
    for metric in ("desks", "seats"):
        journal.ledger.define(metric, "last")
    first.map("seats", "seats", "last")
    mapping = Task(lambda: second.map("desks", "seats", "last"))
    wait_until_blocked(journal.ledger.connection, "second")
    first.ledger.connection.commit()
    error = mapping.error()
    assert error is not None
    assert (error.sqlstate, error.diag.column_name) == ("22023", "event_name")


def test_values_of_different_periods_and_customers_with_one_subject_are_no_conflict(seats: Journal) -> None:
    seats.record(1, metric="seats", subject="acct_2", at=seats.now - 2 * DAY)
    seats.record(2, metric="seats")
    seats.customer("acct_2", "cus_1")
    seats.customer("acct_3", "cus_1")
    assert len(seats.deliver()) == 2
    assert seats.pushes(state="held") == []


# ------------------------------------------------------------------------------------ at planning


def test_a_subject_that_is_the_customer_of_another_is_held(seats: Journal) -> None:
    seats.rules(subject_is_customer=True)
    seats.record(3, metric="seats", subject="cus_1")
    seats.record(50, metric="seats")
    delivered = seats.deliver()
    status = seats.status(metric="seats")
    assert kept_by_biller(delivered) == {("cus_1", "seats"): 50}
    assert (status["delivered"].quantity, status["held"].quantity) == (50, 3)
    # It stays held, whatever comes, until somebody decides.
    seats.record(4, metric="seats", subject="cus_1")
    assert seats.deliver() == []
    assert seats.retry() == []
    assert seats.status(metric="seats")["held"].quantity == 4


def test_a_held_value_is_sent_once_it_has_a_customer_of_its_own(seats: Journal) -> None:
    seats.customer("acct_2", "cus_1")
    seats.record(50, metric="seats")
    seats.record(3, metric="seats", subject="acct_2")
    seats.deliver()
    (held,) = seats.pushes(state="held")
    with refused("22023", "identifier"):
        seats.retry(held.identifier)
    seats.customer("acct_2", "cus_2")
    assert [p.customer for p in seats.retry(held.identifier)] == ["cus_2"]
    assert kept_by_biller(seats.deliver()) == {("cus_2", "seats"): 3}


def test_a_subject_that_takes_the_place_of_another_is_sent(seats: Journal) -> None:
    seats.record(50, metric="seats")
    assert len(seats.deliver()) == 1
    seats.customer(customer=None)
    seats.customer("acct_2", "cus_1")
    seats.record(3, metric="seats", subject="acct_2")
    assert [c.value for c in seats.deliver()] == ["3"]
    assert seats.pushes(state="held") == []


def test_an_older_value_of_another_subject_does_not_come_after_a_newer_one(seats: Journal) -> None:
    seats.record(50, metric="seats")
    seats.plan()
    seats.settle(seats.claim(), "not_applied", retry_after=60)
    seats.customer(customer=None)
    seats.customer("acct_2", "cus_1")
    seats.record(3, metric="seats", subject="acct_2")
    assert [c.value for c in seats.deliver()] == ["3"]
    seats.now += timedelta(minutes=5)
    assert seats.deliver() == []
    assert [(p.value, p.reason) for p in seats.pushes(state="held")] == [(50, "ambiguous")]


def test_a_value_never_gets_the_present_time(seats: Journal) -> None:
    """It would overwrite the value of the present period."""
    seats.rules(too_old="restamp", late="restamp")
    seats.record(50, metric="seats", at=seats.now - 40 * DAY)
    seats.record(40, metric="seats", at=seats.now - 2 * DAY)
    seats.record(3, metric="seats")
    assert kept_by_biller(seats.deliver()) == {("cus_1", "seats"): 3}
    assert {(p.value, p.reason) for p in seats.pushes(state="held")} == {(50, "too_old"), (40, "late")}
    # By decision a late one is sent with its own time; the other only left.
    assert [(p.value, p.stamped_at.date()) for p in seats.retry()] == [(40, (seats.now - 2 * DAY).date())]
    seats.leave(reason="too_old")
    assert seats.pushes(state="held") == []


# ------------------------------------------------------------------------------------ what adds up


@pytest.mark.parametrize(
    ("aggregate", "mode"), [("sum", "delta"), ("sum", "event"), ("max", "delta"), ("unique", "delta")]
)
def test_deltas_and_events_of_several_subjects_and_metrics_add_up(
    journal: Journal, aggregate: str, mode: str
) -> None:
    """A meter with the formula sum: the customer's total is that of its subjects."""
    journal.ledger.define("one", aggregate)
    journal.ledger.define("two", aggregate)
    journal.map("one", "shared", mode)
    journal.map("two", "shared", mode)
    journal.customer("acct_2", "cus_1")
    for metric, subject, n in (("one", "acct_1", 5), ("one", "acct_2", 7), ("two", "acct_1", 9)):
        for i in range(n if aggregate == "unique" else 1):
            what = {"member": f"m{i}"} if aggregate == "unique" else {"quantity": n}
            journal.ledger.call("record", subject=subject, metric=metric, at=journal.now, **what)
    assert sum(Decimal(c.value) for c in journal.deliver()) == 21


def test_only_the_latest_value_of_a_period_counts(seats: Journal) -> None:
    for value in (50, 3, 7):
        seats.record(value, metric="seats")
        seats.deliver()
    status = seats.status(metric="seats")["delivered"]
    assert (status.pushes, status.quantity) == (3, 7)
    seats.record(9, metric="seats")
    status = seats.status(metric="seats")
    assert (status["delivered"].quantity, status["unplanned"].quantity) == (7, 2)

"""settle_pushes() and retry_pushes(): what the biller's answer makes of a push."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import refused
from tests.report.conftest import DAY, HOUR, MINUTE, Journal

NewJournal = Callable[..., Journal]


def _claimed(journal: Journal, quantity: Any = 5, **named: Any) -> Any:
    journal.record(quantity, **named)
    journal.plan()
    (claimed,) = journal.claim()
    return claimed


def test_delivered_is_the_end(journal: Journal) -> None:
    claimed = _claimed(journal)
    (settled,) = journal.settle([claimed], error="An event already exists with identifier X.")
    assert (settled.push_id, settled.state, settled.next_attempt_at) == (claimed.push_id, "delivered", None)
    (push,) = journal.pushes()
    assert (push.settled_at, push.unsure_attempts, push.unsure_since) == (journal.now, 0, None)
    assert push.error == "An event already exists with identifier X."
    assert journal.claim() == []
    assert journal.settle([claimed], "unknown")[0].state == "delivered"
    journal.assert_balanced()


def test_rejected_says_why_and_blocks_nobody(journal: Journal) -> None:
    for hour in (7, 8):
        journal.record(1, at=journal.at(hour))
    journal.plan()
    first, second = journal.claim()
    journal.settle([first], "rejected", error="No such customer: 'cus_1'")
    journal.settle([second])
    rejected, delivered = journal.pushes()
    assert (rejected.state, rejected.reason, delivered.state) == ("rejected", "refused", "delivered")
    assert rejected.error == "No such customer: 'cus_1'"
    journal.record(1, at=journal.at(9))
    journal.plan()
    assert len(journal.claim()) == 1
    journal.assert_balanced()


def test_unknown_is_sent_again_under_the_same_identifier_later_and_later(journal: Journal) -> None:
    claimed = _claimed(journal)
    waits = []
    for attempt in range(1, 8):
        (settled,) = journal.settle([claimed], "unknown", error="timeout")
        assert settled.state == "planned"
        waits.append(settled.next_attempt_at - journal.now)
        assert journal.claim() == []
        journal.now = settled.next_attempt_at
        (again,) = journal.claim()
        assert (again.identifier, again.attempt) == (claimed.identifier, attempt + 1)
        claimed = again
    for attempt, wait in enumerate(waits, start=1):
        assert timedelta(seconds=2**attempt / 2) <= wait <= timedelta(seconds=2**attempt)
    (push,) = journal.pushes()
    assert push.unsure_attempts == 8
    assert push.unsure_since == push.first_attempt_at


def test_unknown_is_never_sent_again_when_the_window_is_over(journal: Journal) -> None:
    claimed = _claimed(journal)
    started = journal.now
    journal.now = started + DAY - HOUR - timedelta(seconds=1)
    (settled,) = journal.settle([claimed], "unknown")
    # The next attempt would come after the end of the window: what comes then is not an attempt.
    assert (settled.state, settled.next_attempt_at) == ("planned", started + DAY - HOUR)
    journal.now = started + DAY - HOUR
    assert journal.claim() == []
    assert journal.states() == ["uncertain"]
    journal.assert_balanced()


def test_an_outcome_that_stays_unknown_until_the_window_is_over_is_uncertain_at_once(
    journal: Journal,
) -> None:
    claimed = _claimed(journal)
    journal.now += DAY
    assert journal.settle([claimed], "unknown")[0].state == "uncertain"
    assert journal.claim() == []


def test_the_window_is_counted_from_the_first_attempt_that_may_have_counted(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.settle([claimed], "not_applied")
    journal.now += 20 * HOUR
    (claimed,) = journal.claim()
    journal.settle([claimed], "unknown")
    assert journal.pushes()[0].unsure_since == journal.now
    journal.now += 20 * HOUR
    assert len(journal.claim()) == 1


def test_not_applied_leaves_no_doubt_behind(journal: Journal) -> None:
    claimed = _claimed(journal)
    (settled,) = journal.settle([claimed], "not_applied", error="429", retry_after=90)
    assert settled.state == "planned"
    assert settled.next_attempt_at == journal.now + timedelta(seconds=90)
    (push,) = journal.pushes()
    assert (push.unsure_attempts, push.unsure_since, push.error) == (0, None, "429")
    journal.now += 3 * DAY
    (again,) = journal.claim()
    assert (again.identifier, again.attempt) == (claimed.identifier, 2)


def test_not_applied_undoes_only_its_own_attempt(journal: Journal) -> None:
    claimed = _claimed(journal)
    started = journal.now
    journal.settle([claimed], "unknown")
    journal.now += HOUR
    journal.settle(journal.claim(), "not_applied")
    (push,) = journal.pushes()
    assert (push.unsure_attempts, push.unsure_since) == (1, started)


def test_what_is_refused_after_an_unknown_attempt_may_have_been_counted_then(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.settle([claimed], "unknown")
    journal.now += HOUR
    (settled,) = journal.settle(journal.claim(), "rejected", error="too old")
    assert settled.state == "uncertain"
    assert journal.pushes()[0].error == "too old"


# ------------------------------------------------------------------------------------ fencing


def test_an_outdated_result_is_believed_only_where_it_says_delivered(
    journal: Journal, new_journal: NewJournal
) -> None:
    other = new_journal()
    stale = _claimed(journal)
    journal.now += 3 * MINUTE
    other.now = journal.now
    (fresh,) = other.claim()
    for outcome in ("rejected", "unknown", "not_applied"):
        assert journal.settle([stale], outcome)[0].state == "sending"
    assert journal.settle([stale], "delivered")[0].state == "delivered"
    # The present attempt has nothing to add to that.
    for outcome in ("rejected", "unknown", "not_applied", "delivered"):
        assert other.settle([fresh], outcome)[0].state == "delivered"
    # The lane is free again.
    journal.record(1)
    journal.plan()
    assert len(journal.claim()) == 1


def test_a_result_after_the_lease_counts_as_long_as_nobody_else_has_begun(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.now += HOUR
    assert journal.settle([claimed], "rejected")[0].state == "rejected"


def test_a_delivery_that_is_told_late_ends_the_uncertainty(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.now += DAY
    journal.claim()
    assert journal.states() == ["uncertain"]
    assert journal.settle([claimed])[0].state == "delivered"


def test_a_delivery_of_what_has_been_replaced_is_put_up_for_reconciliation(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.now += DAY
    journal.claim()
    journal.ledger.call("resolve_push", identifier=claimed.identifier, delivered=False)
    assert journal.settle([claimed])[0].state == "replaced"
    assert journal.pushes()[0].error == "delivered after it had been replaced"
    (hour,) = journal.ledger.call("reconcilable_ranges", step="hour", now=journal.now)
    assert (hour.cause, hour.range_start) == ("recheck", journal.at(10) - DAY)


def test_an_attempt_that_was_never_made_is_not_believed(journal: Journal) -> None:
    claimed = _claimed(journal)
    assert journal.settle([claimed._replace(attempt=7)])[0].state == "sending"
    assert journal.settle([claimed._replace(attempt=0)])[0].state == "sending"


def test_another_billers_push_is_left_alone(journal: Journal) -> None:
    claimed = _claimed(journal)
    result = [{"push_id": claimed.push_id, "attempt": 1, "outcome": "delivered"}]
    journal.ledger.call("settle_pushes", biller="other", worker="w", results=Jsonb(result))
    assert journal.states() == ["sending"]


def test_of_two_results_for_one_push_delivered_counts(journal: Journal) -> None:
    claimed = _claimed(journal)
    results = [
        {"push_id": claimed.push_id, "attempt": 1, "outcome": outcome}
        for outcome in ("unknown", "delivered", "rejected")
    ]
    journal.ledger.call("settle_pushes", biller="stripe", worker="w", results=Jsonb(results))
    assert journal.states() == ["delivered"]


@pytest.mark.parametrize(
    ("sqlstate", "results"),
    [
        ("22004", None),
        ("22023", {}),
        ("22023", [1]),
        ("22023", [{"push_id": 1, "attempt": 1}]),
        ("22023", [{"push_id": 1, "attempt": 1, "outcome": "fine"}]),
        ("22023", [{"push_id": "x", "attempt": 1, "outcome": "delivered"}]),
        ("22023", [{"push_id": 1, "outcome": "delivered"}]),
        ("22023", [{"push_id": 1, "attempt": -1, "outcome": "delivered"}]),
        ("22023", [{"push_id": 1, "attempt": 1, "outcome": "unknown", "retry_after": "soon"}]),
    ],
)
def test_results_that_are_not_understood_are_refused(journal: Journal, sqlstate: str, results: Any) -> None:
    with refused(sqlstate, "results"):
        journal.ledger.call(
            "settle_pushes", biller="stripe", worker="w", results=None if results is None else Jsonb(results)
        )


# ------------------------------------------------------------------------------------ again, by a person


def test_a_retry_is_a_new_push_to_the_present_customer(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.settle([claimed], "rejected", error="No such customer")
    journal.customer(customer="cus_right")
    (new,) = journal.retry()
    old = journal.pushes()[0]
    assert (new.state, new.customer, new.value, new.stamped_at) == (
        "planned",
        "cus_right",
        5,
        claimed.stamped_at,
    )
    assert new.identifier != old.identifier
    assert (old.state, old.reason, old.replaced_by, new.replaces) == (
        "replaced",
        "retried",
        new.push_id,
        old.push_id,
    )
    assert [c.identifier for c in journal.claim()] == [new.identifier]
    assert journal.retry() == []
    journal.assert_balanced()


def test_a_retry_of_one_leaves_the_others(journal: Journal) -> None:
    for hour in (7, 8):
        journal.record(1, at=journal.at(hour))
    journal.plan()
    claimed = journal.claim()
    journal.settle(claimed, "rejected")
    assert len(journal.retry(claimed[0].identifier)) == 1
    assert [p.state for p in journal.pushes()] == ["replaced", "rejected", "planned"]
    journal.assert_balanced()


def test_a_retry_is_consent_to_what_was_held(journal: Journal) -> None:
    journal.metric("daily", period="day")
    journal.rules(late="hold")
    journal.record(1, at=journal.now - 40 * DAY)
    journal.record(2, metric="daily", at=journal.at(-5))
    journal.record("1.0000000000000000001", at=journal.at(1))
    journal.record(3, at=journal.at(2))
    journal.ledger.tamper("total = 4", "total = 3 AND bucket = 'hour'")
    journal.plan()
    journal.ledger.rebuild()
    journal.plan()
    held = {p.reason: p for p in journal.pushes(state="held")}
    assert set(held) == {"too_old", "late", "too_many_digits", "negative"}
    new = {p.replaces: p for p in journal.retry()}
    assert new[held["too_old"].push_id].stamped_at == journal.now
    assert new[held["late"].push_id].stamped_at == journal.now
    assert new[held["negative"].push_id].stamped_at == held["negative"].stamped_at
    assert new[held["negative"].push_id].value == -1
    assert [p.reason for p in journal.pushes(state="held")] == ["too_many_digits"]
    journal.rules(max_digits=30)
    assert len(journal.retry()) == 1
    assert journal.pushes(state="held") == []
    journal.assert_balanced()


def test_every_held_and_rejected_push_can_be_left_by_decision(journal: Journal) -> None:
    journal.settle([_claimed(journal, 7)], "rejected")
    journal.record("1.0000000000000000001", at=journal.at(1))
    journal.record(2, at=journal.now - 40 * DAY)
    journal.record(3, at=journal.now - 41 * DAY)
    journal.plan()
    _, old, digits = journal.pushes(state="held")
    with refused("22023", "identifier"):
        journal.retry(digits.identifier)
    with refused("22004", "identifier"):
        journal.leave()
    with refused("22023", "identifier"):
        journal.leave("pm_unknown")
    assert journal.leave(reason="unheard_of") == []
    assert [(p.state, p.reason) for p in journal.leave(digits.identifier)] == [("left", "too_many_digits")]
    with refused("22023", "identifier"):
        journal.leave(digits.identifier)
    journal.retry(old.identifier)
    assert [p.value for p in journal.leave(reason="too_old")] == [3]
    assert [p.value for p in journal.leave(reason="refused")] == [7]
    status = {state: row.quantity for state, row in journal.status().items() if row.quantity}
    assert status == {"planned": 2, "left": Decimal("11.0000000000000000001"), "replaced": 2}
    journal.assert_balanced()
    # What is used later is reported.
    journal.record(5, at=journal.at(1))
    journal.plan()
    assert journal.pushes()[-1].value == 5


def test_a_delivery_that_is_told_after_it_was_left_is_believed(journal: Journal) -> None:
    claimed = _claimed(journal)
    journal.settle([claimed], "rejected")
    journal.leave(reason="refused")
    journal.settle([claimed])
    assert journal.states() == ["delivered"]


def test_a_retry_of_one_that_cannot_be_sent_says_why(journal: Journal) -> None:
    journal.settle([_claimed(journal)], "rejected")
    identifier = journal.pushes()[0].identifier
    journal.customer(customer=None)
    with refused("22023", "identifier") as caught:
        journal.retry(identifier)
    assert "has no customer" in caught.value.diag.message_detail
    journal.customer()
    journal.map("tokens", None)
    with refused("22023", "identifier") as caught:
        journal.retry(identifier)
    assert "has no event name" in caught.value.diag.message_detail
    journal.map("tokens", "tokens")
    assert len(journal.retry(identifier)) == 1


def test_a_retry_without_a_customer_waits(journal: Journal) -> None:
    journal.settle([_claimed(journal)], "rejected")
    journal.customer(customer=None)
    assert journal.retry() == []
    assert journal.states() == ["rejected"]


def test_an_older_value_does_not_come_after_a_newer_one(journal: Journal) -> None:
    journal.metric("level", "last", mode="last")
    journal.settle([_claimed(journal, 3, metric="level")], "rejected")
    journal.record(4, metric="level")
    journal.plan()
    assert journal.retry() == []


def test_what_is_neither_rejected_nor_held_is_not_retried(journal: Journal) -> None:
    claimed = _claimed(journal)
    with refused("22023", "identifier"):
        journal.retry(claimed.identifier)
    with refused("22023", "identifier"):
        journal.retry("pm_unknown")
    with refused("22023", "identifier"):
        journal.ledger.call("retry_pushes", biller="other", identifier=claimed.identifier)


def test_an_event_that_is_retried_is_not_planned_again(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    journal.settle([_claimed(journal, 2, metric="calls")], "rejected")
    journal.retry()
    journal.customer(customer=None)
    journal.customer()
    journal.plan()
    assert journal.states() == ["replaced", "planned"]
    journal.assert_balanced()

"""claim_pushes() and release_pushes(): a push is one worker's at a time, and of its lane nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.helpers import refused
from tests.report.conftest import DAY, HOUR, MINUTE, Journal

NewJournal = Callable[..., Journal]


def _fill(journal: Journal, subjects: int, hours: int = 1, first: int = 1) -> None:
    for number in range(first, first + subjects):
        journal.customer(f"acct_{number}", f"cus_{number}")
        for hour in range(hours):
            journal.record(1, subject=f"acct_{number}", at=journal.at(hour))
    journal.plan()


def test_a_claim_returns_what_is_sent_and_marks_it_before_it_is(journal: Journal) -> None:
    journal.record("1.50", at=journal.at(9))
    journal.plan()
    (claimed,) = journal.claim()
    (push,) = journal.pushes()
    assert (claimed.value, claimed.attempt, claimed.identifier) == ("1.5", 1, push.identifier)
    assert (claimed.customer, claimed.event_name, claimed.stamped_at) == ("cus_1", "tokens", journal.at(9))
    assert claimed.leased_until == journal.now + 2 * MINUTE
    assert (push.state, push.attempts, push.unsure_attempts) == ("sending", 1, 1)
    assert push.unsure_since == push.first_attempt_at == push.last_attempt_at == journal.now


def test_values_are_plain_decimals(journal: Journal) -> None:
    journal.rules(max_digits=1000)
    for hour, quantity in enumerate(("1e30", "0.000000000000001", "120.00", "7")):
        journal.record(quantity, at=journal.at(hour))
    journal.plan()
    assert [c.value for c in journal.claim()] == ["1" + 30 * "0", "0.000000000000001", "120", "7"]


def test_a_lane_is_one_workers_until_the_last_of_it_is_settled(
    journal: Journal, new_journal: NewJournal
) -> None:
    other = new_journal()
    _fill(journal, 1, hours=3)
    first = journal.claim(2)
    assert len(first) == 2
    # The third is free, but its customer is being sent for.
    assert other.claim() == []
    journal.settle(first[:1])
    assert other.claim() == []
    journal.settle(first[1:])
    assert len(other.claim()) == 1


def test_two_metrics_of_a_customer_are_two_lanes(journal: Journal, new_journal: NewJournal) -> None:
    journal.metric("calls", "count")
    journal.record(1)
    journal.record(None, metric="calls")
    journal.plan()
    assert len(journal.claim(1)) == 1
    assert len(new_journal().claim(1)) == 1


def test_two_claimers_at_once_never_get_the_same_lane(journal: Journal, new_journal: NewJournal) -> None:
    """The first has not committed; the second does not wait for it."""
    first, second = new_journal("first", autocommit=False), new_journal("second", autocommit=False)
    _fill(journal, 8, hours=2)
    mine = first.claim(6)
    second.ledger.execute("SET lock_timeout = '1s'")
    others = second.claim(100)
    assert len(mine) == 6
    assert len(others) == 16 - 6
    assert not {c.customer for c in mine} & {c.customer for c in others}
    first.ledger.connection.commit()
    second.ledger.connection.commit()
    assert journal.claim() == []
    assert set(journal.states()) == {"sending"}


def test_a_claim_that_is_rolled_back_claims_nothing(journal: Journal, new_journal: NewJournal) -> None:
    other = new_journal(autocommit=False)
    _fill(journal, 1)
    assert len(other.claim()) == 1
    other.ledger.connection.rollback()
    assert journal.states() == ["planned"]
    assert journal.claim()[0].attempt == 1


def test_what_is_due_is_claimed_first(journal: Journal) -> None:
    journal.metric("ever", period="never")
    journal.metric("daily", period="day")
    for metric in ("ever", "tokens", "daily"):
        journal.record(1, metric=metric)
        journal.plan()
        journal.now += MINUTE
    assert [c.event_name for _ in range(3) for c in journal.claim(1)] == ["daily", "tokens", "ever"]


def test_within_a_lane_the_older_plan_goes_first(journal: Journal) -> None:
    for hour in (9, 7, 8):
        journal.record(hour, at=journal.at(hour))
        journal.plan()
    assert [c.value for c in journal.claim()] == ["9", "7", "8"]


def test_a_customer_with_much_to_send_does_not_keep_the_others_waiting(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    for _ in range(120):
        journal.record(1, metric="calls")
    journal.plan()
    journal.now += MINUTE
    _fill(journal, 3, first=2)
    claimed = journal.claim(100)
    assert len([c for c in claimed if c.event_name == "calls"]) == 50
    assert {c.customer for c in claimed} == {"cus_1", "cus_2", "cus_3", "cus_4"}
    # And it goes to the end of the line with what it has left.
    journal.settle(claimed)
    journal.now += MINUTE
    journal.record(1, subject="acct_2", at=journal.at(9))
    journal.plan()
    assert [c.event_name for c in journal.claim(1)] == ["calls"]


def test_a_worker_that_dies_is_taken_over_when_its_lease_has_ended(
    journal: Journal, new_journal: NewJournal
) -> None:
    other = new_journal()
    _fill(journal, 1)
    (first,) = journal.claim(lease=5 * MINUTE)
    other.now = journal.now + 5 * MINUTE - timedelta(seconds=1)
    assert other.claim() == []
    other.now += timedelta(seconds=1)
    (second,) = other.claim()
    assert (second.identifier, second.attempt) == (first.identifier, 2)
    (push,) = journal.pushes()
    assert (push.unsure_attempts, push.unsure_since) == (2, journal.now)


def test_what_a_dead_worker_left_is_not_sent_again_when_the_biller_has_forgotten_it(journal: Journal) -> None:
    _fill(journal, 1)
    journal.claim()
    journal.now += DAY - HOUR
    assert journal.claim() == []
    (push,) = journal.pushes()
    assert push.state == "uncertain"
    # It is nobody's any more, and what comes later is sent.
    journal.record(1, at=journal.now)
    journal.plan()
    assert len(journal.claim()) == 1


def test_just_inside_the_window_it_is_sent_again(journal: Journal) -> None:
    _fill(journal, 1)
    (first,) = journal.claim()
    journal.now += DAY - HOUR - timedelta(seconds=1)
    (second,) = journal.claim()
    assert second.identifier == first.identifier


def test_what_has_become_too_old_while_it_waited_is_held(journal: Journal) -> None:
    _fill(journal, 1)
    journal.now += 36 * DAY
    assert journal.claim() == []
    (push,) = journal.pushes()
    assert (push.state, push.reason) == ("held", "too_old")


def test_a_released_push_is_sent_again_under_its_identifier(
    journal: Journal, new_journal: NewJournal
) -> None:
    _fill(journal, 2)
    first = journal.claim()
    journal.settle(first[:1])
    assert journal.release() == 1
    assert journal.release() == 0
    (second,) = new_journal().claim()
    assert (second.identifier, second.attempt) == (first[1].identifier, 2)
    # It may have been sent before it was given back.
    assert journal.pushes(state="sending")[0].unsure_attempts == 2


def test_nothing_to_claim_is_no_error(journal: Journal) -> None:
    assert journal.claim() == []
    assert journal.claim(biller="unheard_of") == []
    assert journal.release() == 0


def test_bad_claims_are_refused(journal: Journal) -> None:
    for sqlstate, parameter, named in (
        ("22004", "biller", {"biller": None}),
        ("22004", "worker", {"worker": None}),
        ("22023", "worker", {"worker": ""}),
        ("22023", "max_pushes", {}),
        ("22023", "lease", {"lease": None}),
        ("22023", "lease", {"lease": -MINUTE}),
        ("22023", "lease", {"lease": HOUR + MINUTE}),
        ("22004", "now", {"now": None}),
        ("22023", "now", {"now": "infinity"}),
    ):
        if parameter == "max_pushes":
            with refused(sqlstate):
                journal.claim(0)
            continue
        with refused(sqlstate, parameter):
            journal.claim(**named)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_claiming_and_settling_refuse_an_older_snapshot(journal: Journal, level: str) -> None:
    journal.ledger.execute(f"SET default_transaction_isolation = '{level.lower()}'")
    for call in (journal.claim, journal.release, lambda: journal.settle([])):
        with refused("25001"):
            call()


# ------------------------------------------------------------------------------------ mode last


def test_a_value_that_is_followed_by_a_newer_one_is_left_out(journal: Journal) -> None:
    journal.metric("level", "last", mode="last")
    for quantity in (3, 5, 4):
        journal.record(quantity, metric="level")
        journal.plan()
    assert [c.value for c in journal.claim()] == ["4"]
    old, older, newest = journal.pushes()
    assert (old.state, old.reason, older.state, newest.state) == (
        "replaced",
        "superseded",
        "replaced",
        "sending",
    )
    assert old.replaced_by == older.replaced_by == newest.push_id


def test_a_value_that_nobody_knows_of_is_sent_anew_after_the_window(journal: Journal) -> None:
    """Sent twice it counts once, so it is never uncertain."""
    journal.metric("level", "last", mode="last")
    journal.record(3, metric="level")
    journal.plan()
    (first,) = journal.claim()
    journal.now += DAY
    assert journal.claim() == []
    (second,) = journal.claim()
    assert second.value == "3"
    assert second.identifier != first.identifier
    assert [p.state for p in journal.pushes()] == ["replaced", "sending"]


# ------------------------------------------------------------------------------------ what has aged


@pytest.mark.parametrize("attempted", [False, True])
def test_a_push_that_has_become_too_old_is_held_restamped_or_left_by_the_setting(
    journal: Journal, attempted: bool
) -> None:
    outcomes = {}
    for hours, setting in enumerate(("hold", "restamp", "leave")):
        journal.rules(too_old=setting)
        planned_at = journal.now
        journal.record(1, at=planned_at - 30 * DAY + hours * HOUR)
        journal.plan()
        before = journal.pushes()[-1]
        if attempted:
            # Certainly not counted, such as a 429: it may get another identifier.
            journal.settle(journal.claim(), "not_applied")
        journal.now += 6 * DAY
        claimed = journal.claim()
        (aged,) = (p for p in journal.pushes() if p.push_id == before.push_id)
        outcomes[setting] = (aged.state, aged.reason, [c.stamped_at for c in claimed])
        restamped_at = journal.now
        journal.settle(claimed)
        journal.now = planned_at
    assert outcomes == {
        "hold": ("held", "too_old", []),
        "restamp": ("replaced", "too_old", [restamped_at]),
        "leave": ("left", "too_old", []),
    }
    journal.assert_balanced()
    assert {s: r.quantity for s, r in journal.status().items() if r.quantity} == {
        "held": 1,
        "delivered": 1,
        "replaced": 1,
        "left": 1,
    }


def test_a_push_whose_invoice_has_closed_since_is_sent_restamped_or_held_by_the_setting(
    journal: Journal,
) -> None:
    journal.metric("daily", period="day")
    outcomes = {}
    for hours, setting in enumerate(("send", "restamp", "hold")):
        journal.rules(late=setting)
        planned_at = journal.now
        journal.record(1, metric="daily", at=journal.at(hours))
        journal.plan()
        before = journal.pushes()[-1]
        journal.now += 2 * DAY
        claimed = journal.claim()
        (aged,) = (p for p in journal.pushes() if p.push_id == before.push_id)
        outcomes[setting] = (aged.state, aged.reason, [c.stamped_at for c in claimed])
        journal.settle(claimed)
        journal.now = planned_at
    assert outcomes == {
        "send": ("sending", None, [journal.at(0)]),
        "restamp": ("replaced", "late", [journal.now + 2 * DAY]),
        "hold": ("held", "late", []),
    }
    # By decision it gets the present time, so it is not held again.
    journal.now += 2 * DAY
    assert [p.stamped_at for p in journal.retry()] == [journal.now]
    assert len(journal.claim()) == 1
    journal.assert_balanced()


def test_a_push_that_may_have_been_counted_keeps_its_time_and_identifier(journal: Journal) -> None:
    journal.rules(too_old="restamp", late="restamp")
    journal.record(1, at=journal.now - 34 * DAY - 23 * HOUR)
    journal.plan()
    (first,) = journal.claim()
    journal.settle([first], "unknown")
    journal.now += 2 * HOUR
    (again,) = journal.claim()
    assert (again.identifier, again.stamped_at) == (first.identifier, first.stamped_at)

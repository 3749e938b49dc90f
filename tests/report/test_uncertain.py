"""uncertain_hours(), settle_hour() and resolve_push(): what nobody knows is found out, nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import refused
from tests.report.conftest import DAY, HOUR, Journal

NewJournal = Callable[..., Journal]


@pytest.fixture
def uncertain(journal: Journal) -> Callable[..., list[Any]]:
    """``uncertain(5, 7, delivered=10)``: of nine o'clock's usage 10 was delivered, 5 and 7 nobody knows."""

    def make(*amounts: Any, delivered: Any = None) -> list[Any]:
        if delivered is not None:
            journal.record(delivered, at=journal.at(9))
            journal.deliver()
        for amount in amounts:
            journal.record(amount, at=journal.at(9, 15))
            journal.plan()
            journal.settle(journal.claim(), "unknown")
        journal.now += DAY
        assert journal.claim() == []
        assert len(journal.pushes(state="uncertain")) == len(amounts)
        return journal.pushes(state="uncertain")

    return make


def _hour(journal: Journal) -> Any:
    return journal.at(9) - DAY


def test_an_hour_is_asked_for_with_what_is_known_of_it(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, Decimal("2.5"), delivered=10)
    (hour,) = journal.uncertain()
    assert (hour.customer, hour.event_name, hour.hour) == ("cus_1", "tokens", _hour(journal))
    assert (hour.delivered_total, hour.uncertain_total, hour.uncertain_pushes) == (10, Decimal("7.5"), 2)


def test_a_total_with_all_of_it_says_that_it_was_delivered(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, 7, delivered=10)
    assert tuple(journal.settle_hour(22, _hour(journal))) == ("present", 2, 0, 0)
    assert journal.states() == ["delivered", "resolved", "resolved"]
    assert journal.uncertain() == []
    journal.assert_balanced()


def test_absence_that_persists_makes_a_new_push(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    (old,) = uncertain(5, delivered=10)
    hour = _hour(journal)
    assert tuple(journal.settle_hour(10, hour)) == ("waiting", 0, 0, 1)
    # Nothing to ask before the time is up, and asking all the same changes nothing.
    assert journal.uncertain() == []
    journal.now += DAY - HOUR
    assert journal.settle_hour(10, hour).verdict == "waiting"
    assert journal.states() == ["delivered", "uncertain"]
    journal.now += HOUR
    assert len(journal.uncertain()) == 1
    assert tuple(journal.settle_hour(10, hour)) == ("absent", 0, 1, 0)
    _, replaced, new = journal.pushes()
    assert (replaced.state, replaced.reason, replaced.replaced_by) == ("replaced", "absent", new.push_id)
    assert (new.state, new.value, new.customer, new.stamped_at) == ("planned", 5, "cus_1", old.stamped_at)
    assert new.identifier != old.identifier
    assert [c.identifier for c in journal.claim()] == [new.identifier]
    journal.assert_balanced()


def test_absence_that_does_not_persist_makes_none(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, delivered=10)
    hour = _hour(journal)
    journal.settle_hour(10, hour)
    journal.now += DAY
    assert journal.settle_hour(15, hour).verdict == "present"
    assert journal.states() == ["delivered", "resolved"]
    assert sum(journal.values()) == 15


def test_an_absence_that_was_contradicted_begins_anew(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, delivered=10)
    hour = _hour(journal)
    journal.settle_hour(10, hour)
    journal.now += 12 * HOUR
    assert journal.settle_hour(11, hour).verdict == "unclear"
    journal.now += 12 * HOUR
    assert journal.settle_hour(10, hour).verdict == "waiting"
    journal.now += DAY
    assert journal.settle_hour(10, hour).verdict == "absent"


def test_a_total_that_fits_nothing_is_left_to_a_person_with_its_figures(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    (push,) = uncertain(5, delivered=10)
    assert tuple(journal.settle_hour(Decimal("12.50"), _hour(journal))) == ("unclear", 0, 0, 1)
    (left,) = journal.pushes(state="uncertain")
    assert left.error == "The total of the hour is 12.5; 10 was delivered, 5 is uncertain."
    assert journal.uncertain() == []
    journal.now += DAY
    assert len(journal.uncertain()) == 1
    assert push.identifier == left.identifier


def test_some_that_fit_are_delivered_once_the_others_have_stayed_away(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, 7, 20, delivered=10)
    hour = _hour(journal)
    assert journal.settle_hour(17, hour).verdict == "waiting"
    journal.now += DAY
    assert tuple(journal.settle_hour(17, hour)) == ("partly", 1, 2, 0)
    assert [(p.value, p.state) for p in journal.pushes()[1:]] == [
        (5, "replaced"),
        (7, "resolved"),
        (20, "replaced"),
        (5, "planned"),
        (20, "planned"),
    ]
    journal.assert_balanced()


def test_more_than_one_set_that_fits_decides_nothing(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, 7, 12)
    assert journal.settle_hour(12, _hour(journal)).verdict == "unclear"
    assert journal.states() == 3 * ["uncertain"]


def test_equal_values_need_not_be_told_apart(journal: Journal, uncertain: Callable[..., list[Any]]) -> None:
    uncertain(5, 5, 5)
    hour = _hour(journal)
    assert journal.settle_hour(10, hour).verdict == "waiting"
    journal.now += DAY
    assert tuple(journal.settle_hour(10, hour)) == ("partly", 2, 1, 0)
    journal.assert_balanced()


def test_another_set_that_fits_the_second_time_begins_anew(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    """What was missing then is there now, and what was there is missing: totals that lag prove nothing."""
    uncertain(5, 7)
    hour = _hour(journal)
    journal.settle_hour(5, hour)
    journal.now += DAY
    assert journal.settle_hour(7, hour).verdict == "waiting"
    assert journal.states() == ["uncertain", "uncertain"]
    journal.now += DAY
    assert journal.settle_hour(7, hour).verdict == "partly"


def test_many_are_all_there_or_none(journal: Journal, uncertain: Callable[..., list[Any]]) -> None:
    journal.metric("tokens", mode="event")
    for number in range(14):
        journal.record(2**number, at=journal.at(9, number))
    journal.plan()
    journal.settle(journal.claim(), "unknown")
    journal.now += DAY
    journal.claim()
    hour = _hour(journal)
    assert journal.settle_hour(3, hour).verdict == "unclear"
    assert journal.settle_hour(0, hour).verdict == "waiting"
    assert tuple(journal.settle_hour(2**14 - 1, hour)) == ("present", 14, 0, 0)


def test_an_hour_with_a_push_that_may_be_counted_at_any_moment_waits(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5)
    hour = _hour(journal)
    journal.record(5, at=hour)
    journal.plan()
    claimed = journal.claim()
    # Were 5 the total now, it would be the other one's.
    assert journal.uncertain() == []
    assert tuple(journal.settle_hour(5, hour)) == ("busy", 0, 0, 1)
    journal.settle(claimed, "unknown")
    assert journal.settle_hour(5, hour).verdict == "busy"


def test_a_total_from_before_a_delivery_decides_nothing(
    journal: Journal, uncertain: Callable[..., list[Any]]
) -> None:
    uncertain(5, delivered=10)
    (asked,) = journal.uncertain()
    journal.record(5, at=asked.hour)
    journal.deliver()
    late = journal.settle_hour(15, asked.hour, delivered_total=asked.delivered_total)
    assert late.verdict == "busy"
    assert journal.uncertain()[0].delivered_total == 15


def test_an_hour_without_uncertain_pushes_has_nothing_to_decide(journal: Journal) -> None:
    assert tuple(journal.settle_hour(5, journal.at(9))) == ("busy", 0, 0, 0)


def test_what_is_due_is_asked_for_first(journal: Journal) -> None:
    journal.metric("daily", period="day")
    for metric in ("tokens", "daily"):
        journal.record(1, metric=metric, at=journal.at(9))
    journal.plan()
    journal.settle(journal.claim(), "unknown")
    journal.now += DAY
    journal.claim()
    assert [h.event_name for h in journal.uncertain()] == ["daily", "tokens"]


# ------------------------------------------------------------------------------------ a person's word


def test_a_person_says_that_it_was_delivered(journal: Journal, uncertain: Callable[..., list[Any]]) -> None:
    (push,) = uncertain(5)
    (resolved,) = journal.ledger.call("resolve_push", identifier=push.identifier, delivered=True)
    assert (resolved.state, resolved.push_id) == ("resolved", push.push_id)
    assert journal.uncertain() == []
    journal.assert_balanced()


def test_a_person_says_that_it_was_not(journal: Journal, uncertain: Callable[..., list[Any]]) -> None:
    (push,) = uncertain(5)
    (resolved,) = journal.ledger.call(
        "resolve_push", identifier=push.identifier, delivered=False, now=journal.now
    )
    assert (resolved.state, resolved.reason) == ("replaced", "absent")
    (claimed,) = journal.claim()
    assert (claimed.value, claimed.push_id) == ("5", resolved.replaced_by)
    journal.assert_balanced()


def test_only_what_is_uncertain_is_resolved_by_hand(journal: Journal) -> None:
    journal.record(1)
    journal.plan()
    (push,) = journal.pushes()
    for delivered in (True, False):
        with refused("22023", "identifier"):
            journal.ledger.call("resolve_push", identifier=push.identifier, delivered=delivered)
    with refused("22004", "delivered"):
        journal.ledger.call("resolve_push", identifier=push.identifier, delivered=None)
    with refused("22023", "identifier"):
        journal.ledger.call("resolve_push", identifier="pm_unknown", delivered=True)
    with refused("22004", "identifier"):
        journal.ledger.call("resolve_push", identifier=None, delivered=True)


def test_bad_totals_are_refused(journal: Journal) -> None:
    hour = journal.at(9)
    for sqlstate, parameter, named in (
        ("22004", "total", {"total": None}),
        ("22023", "total", {"total": Decimal("NaN")}),
        ("22004", "hour", {"hour": None}),
        ("22023", "hour", {"hour": journal.at(9, 30)}),
        ("22004", "customer", {"customer": None}),
        ("22023", "event_name", {"event_name": ""}),
    ):
        with refused(sqlstate, parameter):
            journal.settle_hour(**{"total": 1, "hour": hour, **named})

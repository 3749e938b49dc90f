"""fail_pushes(), reconcilable_ranges(), reconcile_range(), reconciliation(): our totals and the biller's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import refused
from tests.report.conftest import DAY, HOUR, Journal


def _ranges(journal: Journal, step: str = "hour", **named: Any) -> list[Any]:
    return journal.ledger.call("reconcilable_ranges", step=step, now=journal.now, **named)


def _compare(journal: Journal, total: Any, step: str = "hour", hours: int = 9, **named: Any) -> Any:
    named = {"customer": "cus_1", "event_name": "tokens", "range_start": journal.at(hours), **named}
    return journal.ledger.call(
        "reconcile_range", biller="stripe", step=step, total=total, now=journal.now, **named
    )[0]


@pytest.fixture
def delivered(journal: Journal) -> Journal:
    """1 at seven, 2 at eight, 4 at nine o'clock, all delivered by half past ten."""
    for hour, quantity in ((7, 1), (8, 2), (9, 4)):
        journal.record(quantity, at=journal.at(hour, 10))
    journal.deliver()
    return journal


def test_what_was_delivered_is_compared_to_the_last_digit(delivered: Journal) -> None:
    assert [(r.range_start, r.local) for r in _ranges(delivered)] == [
        (delivered.at(7), 1),
        (delivered.at(8), 2),
        (delivered.at(9), 4),
    ]
    equal = _compare(delivered, Decimal("4.00"))
    assert (equal.local, equal.remote, equal.difference, equal.checked_at) == (4, 4, 0, delivered.now)
    assert delivered.ledger.call("reconciliation") == []
    less = _compare(delivered, Decimal("1.999999999999999999"), hours=8)
    assert less.difference == Decimal("-0.000000000000000001")
    _compare(delivered, 8, hours=7)
    assert [r.difference for r in delivered.ledger.call("reconciliation")] == [7, less.difference]


def test_a_difference_is_gone_when_it_is_gone(delivered: Journal) -> None:
    _compare(delivered, 5)
    _compare(delivered, 4)
    assert delivered.ledger.call("reconciliation") == []


def test_usage_of_nothing_has_a_total_too(delivered: Journal) -> None:
    assert _compare(delivered, 3, hours=3).difference == 3
    assert delivered.ledger.call("reconciliation")[0].local == 0


def test_days_are_compared_when_they_are_over(delivered: Journal) -> None:
    assert _ranges(delivered, "day") == []
    delivered.now += DAY
    (day,) = _ranges(delivered, "day")
    assert (day.range_start, day.range_end, day.local) == (delivered.at(-24), delivered.at(0), 7)
    assert _compare(delivered, 7, "day", hours=-24).difference == 0


def test_what_is_not_delivered_does_not_count(delivered: Journal) -> None:
    delivered.record(8, at=delivered.at(9))
    delivered.plan()
    delivered.settle(delivered.claim(), "rejected")
    delivered.record(16, at=delivered.at(9))
    delivered.plan()
    assert [r.local for r in _ranges(delivered)] == [1, 2, 4]


def test_what_was_compared_longest_ago_comes_first(delivered: Journal) -> None:
    # All of it is due at the end of the month; what is due soon would go before.
    soon = any(r.cause == "due" for r in _ranges(delivered))
    for hours in (8, 7):
        _compare(delivered, {7: 1, 8: 2}[hours], hours=hours)
        delivered.now += HOUR
    assert [r.range_start for r in _ranges(delivered)] == [delivered.at(h) for h in (9, 8, 7)]
    assert len(_ranges(delivered, max_rows=2)) == 2
    assert soon or {r.cause for r in _ranges(delivered)} == {"routine"}


def test_what_is_due_or_uncertain_goes_before(journal: Journal) -> None:
    journal.metric("daily", period="day")
    for metric in ("tokens", "daily"):
        for hour in (8, 9):
            journal.record(1, metric=metric, at=journal.at(hour))
    journal.plan()
    claimed = journal.claim()
    journal.settle([c for c in claimed if c.stamped_at != journal.at(8) or c.metric == "daily"])
    journal.now += 23 * HOUR
    journal.claim()
    assert [(r.event_name, r.range_start, r.cause) for r in _ranges(journal)][:3] == [
        ("tokens", journal.at(8 - 24), "uncertain"),
        ("daily", journal.at(8 - 24), "due"),
        ("daily", journal.at(9 - 24), "due"),
    ]


# ------------------------------------------------------------------------------------ asynchronous errors


def _fail(journal: Journal, event_id: str, identifiers: list[str], **named: Any) -> int:
    return int(
        journal.ledger.call(
            "fail_pushes", biller="stripe", event_id=event_id, identifiers=identifiers, now=journal.now,
            **{"code": "meter_event_invalid_value", **named},
        )[0][0]
    )  # fmt: skip


def test_an_error_report_rejects_what_it_names_once(delivered: Journal) -> None:
    first, _, last = delivered.pushes()
    assert _fail(delivered, "evt_1", [first.identifier, last.identifier, "someone_elses"]) == 2
    assert _fail(delivered, "evt_1", [first.identifier]) == 0
    rejected = delivered.pushes(state="rejected")
    assert {(p.reason, p.error) for p in rejected} == {("failed", "meter_event_invalid_value")}
    assert [r.local for r in _ranges(delivered)] == [0, 2, 0]
    # One that was sent anew is not the one that failed.
    delivered.retry(first.identifier)
    assert _fail(delivered, "evt_2", [first.identifier]) == 0
    assert [p.state for p in delivered.pushes()] == ["replaced", "delivered", "rejected", "planned"]
    delivered.assert_balanced()


def test_the_others_of_its_time_are_put_up_for_reconciliation(delivered: Journal) -> None:
    first = delivered.pushes()[0]
    delivered.now += HOUR
    delivered.record(1, at=delivered.at(10))
    delivered.deliver()
    window = {"since": delivered.now - 2 * HOUR, "until": delivered.now}
    _fail(delivered, "evt_1", [first.identifier], **window)
    ranges = {r.range_start: r.cause for r in _ranges(delivered)}
    assert [ranges[delivered.at(h)] == "recheck" for h in (7, 8, 9, 10)] == [False, True, True, False]
    _compare(delivered, 4)
    assert {r.range_start for r in _ranges(delivered) if r.cause == "recheck"} == {delivered.at(8)}


def test_a_report_without_samples_names_its_meter(delivered: Journal) -> None:
    delivered.metric("calls", "count")
    delivered.record(None, metric="calls", at=delivered.at(9))
    delivered.deliver()
    window = {"since": delivered.now - HOUR, "until": delivered.now + HOUR}
    assert _fail(delivered, "evt_1", [], event_name="calls", code="no_meter", **window) == 0
    assert {(r.event_name, r.range_start) for r in _ranges(delivered) if r.cause == "recheck"} == {
        ("calls", delivered.at(9))
    }


def test_a_day_that_agrees_speaks_for_its_hours(delivered: Journal) -> None:
    window = {"since": delivered.now - HOUR, "until": delivered.now + HOUR}
    _fail(delivered, "evt_1", [], event_name="tokens", **window)
    delivered.now += DAY
    _compare(delivered, 6, "day", hours=-24)
    assert {r.cause for r in _ranges(delivered, "day")} == {"recheck"}
    _compare(delivered, 7, "day", hours=-24)
    assert "recheck" not in {r.cause for r in _ranges(delivered, "hour")}


def test_an_error_that_overtakes_the_answer_stays(journal: Journal) -> None:
    """The biller says 200 and means: received. Its error report may arrive before we have settled."""
    journal.record(1)
    journal.plan()
    (claimed,) = journal.claim()
    assert _fail(journal, "evt_1", [claimed.identifier]) == 1
    assert journal.settle([claimed])[0].state == "rejected"
    assert len(journal.retry()) == 1
    assert len(journal.claim()) == 1


def test_bad_comparisons_and_reports_are_refused(delivered: Journal) -> None:
    for sqlstate, parameter, named in (
        ("22004", "total", {"total": None}),
        ("22023", "total", {"total": Decimal("Infinity")}),
        ("22023", "range_start", {"range_start": delivered.at(9, 1)}),
        ("22023", "range_start", {"step": "day"}),
        ("22023", "step", {"step": "week"}),
        ("22004", "step", {"step": None}),
        ("22004", "customer", {"customer": None}),
    ):
        with refused(sqlstate, parameter):
            _compare(delivered, **{"total": 1, **named})
    with refused("22004", "identifiers"):
        delivered.ledger.call("fail_pushes", biller="stripe", event_id="e", identifiers=None, code="x")
    with refused("22004", "code"):
        delivered.ledger.call("fail_pushes", biller="stripe", event_id="e", identifiers=[], code=None)
    with refused("22004", "event_id"):
        delivered.ledger.call("fail_pushes", biller="stripe", event_id=None, identifiers=[], code="x")
    with refused("22023", "step"):
        _ranges(delivered, "week")

"""plan_pushes() and preview_pushes(): what is sent is the usage, once, in its own hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, Task, refused
from tests.report.conftest import DAY, HOUR, MINUTE, Journal

NewJournal = Callable[..., Journal]
WaitUntilBlocked = Callable[[psycopg.Connection[Any], str], None]


# ------------------------------------------------------------------------------------ deltas


def test_an_hour_of_many_events_is_one_push(journal: Journal) -> None:
    for minute in range(5):
        journal.record(Decimal("0.1"), at=journal.at(9, minute))
    assert journal.plan() == 5
    (push,) = journal.pushes()
    assert (push.value, push.state, push.customer, push.event_name) == (
        Decimal("0.5"),
        "planned",
        "cus_1",
        "tokens",
    )
    assert journal.at(9) <= push.stamped_at < journal.at(10)
    assert push.identifier.startswith("pm_")
    assert journal.plan() == 0
    journal.assert_balanced()


def test_a_delta_is_stamped_where_the_latest_usage_of_its_hour_was(journal: Journal) -> None:
    """A subscription that ended at twenty to ten still pays for what was used until then."""
    journal.record(1, at=journal.at(9, 10, 0.25))
    journal.record(1, at=journal.at(9, 37, 12.75))
    journal.plan()
    assert journal.pushes()[0].stamped_at == journal.at(9, 37, 12)


def test_hours_are_never_mixed(journal: Journal) -> None:
    journal.record(1, at=journal.at(8, 59, 59.999))
    journal.record(2, at=journal.at(9))
    journal.plan()
    assert [(p.value, p.bucket_start) for p in journal.pushes()] == [(1, journal.at(8)), (2, journal.at(9))]


def test_late_usage_makes_a_new_delta_for_its_own_hour(journal: Journal) -> None:
    journal.record(10, at=journal.at(7))
    journal.plan()
    journal.record(3, at=journal.at(7, 30))
    journal.plan()
    first, second = journal.pushes()
    assert (first.value, second.value) == (10, 3)
    assert second.bucket_start == first.bucket_start
    assert second.identifier != first.identifier
    journal.assert_balanced()


def test_an_open_hour_is_stamped_no_later_than_now(journal: Journal) -> None:
    journal.record(1, at=journal.now + 3 * MINUTE)
    journal.plan()
    assert journal.pushes()[0].stamped_at == journal.now


def test_usage_that_adds_up_to_nothing_makes_no_push(journal: Journal) -> None:
    journal.record(0)
    assert journal.plan() == 1
    assert journal.pushes() == []


def test_repeats_and_conflicts_queue_nothing(journal: Journal) -> None:
    journal.record(5, idempotency_key="a")
    journal.record(5, idempotency_key="a")
    journal.record(6, idempotency_key="a")
    journal.ledger.batch([{"subject": "acct_1", "metric": "tokens", "quantity": 5, "idempotency_key": "a"}])
    assert journal.queue() == 1
    journal.plan()
    assert journal.values() == [5]


def test_a_recording_that_is_rolled_back_queues_nothing(new_journal: NewJournal, journal: Journal) -> None:
    other = new_journal(autocommit=False)
    other.record(5)
    other.ledger.batch([{"subject": "acct_1", "metric": "tokens", "quantity": 5, "at": other.now}])
    other.ledger.connection.rollback()
    assert journal.queue() == 0
    assert journal.plan() == 0


def test_a_batch_is_queued_event_by_event_and_only_what_is_reported(journal: Journal) -> None:
    journal.ledger.define("quiet", "sum")
    journal.ledger.batch(
        [
            {"subject": "acct_1", "metric": metric, "quantity": quantity, "at": journal.now}
            for metric, quantity in (("tokens", 1), ("quiet", 2), ("tokens", 4))
        ]
    )
    assert journal.queue() == 2
    journal.plan()
    assert journal.values() == [5]


def test_a_metric_that_is_not_reported_queues_nothing(journal: Journal) -> None:
    journal.ledger.define("quiet", "sum")
    journal.record(metric="quiet")
    assert journal.queue() == 0


def test_striped_rollups_are_added_up(journal: Journal, new_ledger: Callable[..., Ledger]) -> None:
    journal.metric("hot", striped=True)
    for quantity in (1, 2, 4):
        # A batch goes to the stripe of its session.
        new_ledger().batch([{"subject": "acct_1", "metric": "hot", "quantity": quantity, "at": journal.now}])
    journal.record(8, metric="hot")
    assert journal.ledger.value("SELECT count(*) FROM meter.buckets WHERE metric = 'hot'") > 2
    journal.plan()
    assert journal.values() == [15]
    journal.record(1, metric="hot")
    journal.ledger.maintain()
    journal.plan()
    assert journal.values() == [15, 1]
    journal.assert_balanced()


@pytest.mark.parametrize(("period", "rollup"), [("minute", "none"), ("minute", "hour"), ("hour", "day")])
def test_a_metric_of_short_periods_is_reported_by_the_hour_too(
    journal: Journal, period: str, rollup: str
) -> None:
    journal.metric("calls", "count", period=period, rollup=rollup)
    for minute in (1, 2, 3):
        journal.record(None, metric="calls", at=journal.at(9, minute))
    journal.plan()
    assert journal.values() == [3]
    journal.assert_balanced()


# ------------------------------------------------------------------------------------ nothing is missed


def test_a_recording_that_commits_while_planning_is_never_missed_nor_planned_twice(
    journal: Journal, new_journal: NewJournal
) -> None:
    other = new_journal(autocommit=False)
    journal.record(1)
    other.record(2, at=other.now - 2 * MINUTE, subject="acct_2")
    journal.customer("acct_2", "cus_2")
    # It has its row of the queue and its event, and does not commit before the plan has.
    journal.plan()
    assert journal.values() == [1]
    other.ledger.connection.commit()
    assert journal.plan() == 1
    assert journal.plan() == 0
    assert journal.values() == [1, 2]
    journal.assert_balanced()


def test_a_recording_that_commits_between_the_steps_of_planning_is_planned_exactly_once(
    journal: Journal, new_journal: NewJournal, wait_until_blocked: WaitUntilBlocked
) -> None:
    """The planner has taken its rows off the queue and then has to wait; meanwhile, others commit."""
    planner, writer, holder = (new_journal("planner"), new_journal(), new_journal("holder", autocommit=False))
    journal.record(1, at=journal.at(9))
    holder.ledger.execute("LOCK TABLE meter.reported IN ACCESS EXCLUSIVE MODE")
    planning = Task(planner.plan)
    wait_until_blocked(journal.ledger.connection, "planner")
    writer.record(2, at=journal.at(9, 30))
    holder.ledger.connection.rollback()
    assert planning.result() == 1
    early = journal.values()
    assert early in ([1], [3])
    journal.plan()
    assert sum(journal.values()) == 3
    assert journal.queue() == 0
    journal.assert_balanced()


def test_what_was_planned_too_early_makes_no_difference_later(
    journal: Journal, new_journal: NewJournal
) -> None:
    """The rollup may hold more than what was taken off the queue: here by a queue that lags behind."""
    journal.record(1)
    journal.record(2)
    journal.ledger.execute("CREATE TEMP TABLE later AS SELECT * FROM meter.unreported LIMIT 1")
    journal.plan()
    assert journal.values() == [3]
    journal.ledger.execute("INSERT INTO meter.unreported SELECT * FROM later")
    assert journal.plan() == 1
    assert journal.values() == [3]
    journal.assert_balanced()


def test_two_planners_take_turns(
    journal: Journal, new_journal: NewJournal, wait_until_blocked: WaitUntilBlocked
) -> None:
    first, second = new_journal("first", autocommit=False), new_journal("second")
    for hour in range(3):
        journal.record(1, at=journal.at(hour))
    assert first.plan() == 3
    planning = Task(second.plan)
    wait_until_blocked(journal.ledger.connection, "second")
    first.ledger.connection.commit()
    assert planning.result() == 0
    assert journal.values() == [1, 1, 1]
    journal.assert_balanced()


def test_a_plan_that_is_rolled_back_leaves_everything_to_the_next(
    journal: Journal, new_journal: NewJournal
) -> None:
    journal.record(1)
    other = new_journal(autocommit=False)
    assert other.plan() == 1
    other.ledger.connection.rollback()
    assert journal.pushes() == []
    assert journal.plan() == 1
    assert journal.values() == [1]


def test_a_plan_looks_at_a_bounded_number_of_rows(journal: Journal) -> None:
    for _ in range(5):
        journal.record(1)
    assert [journal.plan(max_rows=2) for _ in range(4)] == [2, 2, 1, 0]
    assert sum(journal.values()) == 5
    journal.assert_balanced()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_planning_refuses_a_snapshot_that_is_older_than_what_it_locks(journal: Journal, level: str) -> None:
    journal.ledger.execute(f"SET default_transaction_isolation = '{level.lower()}'")
    with refused("25001"):
        journal.plan()


# ------------------------------------------------------------------------------------ open hours


def test_an_open_hour_can_be_left_for_later(journal: Journal) -> None:
    journal.record(1, at=journal.at(9, 59))
    journal.record(2, at=journal.at(10))
    assert journal.plan(open_hours=False) == 1
    assert journal.values() == [1]
    assert journal.queue() == 1
    journal.now = journal.at(11)
    assert journal.plan(open_hours=False) == 1
    assert journal.values() == [1, 2]


def test_an_open_hour_is_planned_when_its_period_is_about_to_end(journal: Journal) -> None:
    journal.metric("daily", period="day")
    journal.now = journal.at(23, 30)
    journal.record(1, metric="daily")
    journal.record(1, metric="tokens", at=journal.now)
    journal.plan(open_hours=False)
    planned = {p.metric for p in journal.pushes()}
    assert "daily" in planned
    month_ends = (journal.now + HOUR).month != journal.now.month
    assert ("tokens" in planned) == month_ends


def test_usage_too_far_ahead_waits_on_the_queue(journal: Journal) -> None:
    journal.record(1, at=journal.now + 2 * HOUR)
    assert journal.plan() == 0
    assert journal.status()["unplanned"].quantity == 1
    journal.now += 2 * HOUR
    assert journal.plan() == 1
    journal.assert_balanced()


# ------------------------------------------------------------------------------------ events


def test_mode_event_makes_one_push_per_event_at_the_events_own_second(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    first = journal.record(2, metric="calls", at=journal.at(8, 15, 30.9))
    second = journal.record(None, metric="calls", at=journal.at(8, 16))
    journal.record(0, metric="calls", at=journal.at(8, 17))
    journal.plan()
    assert [(p.value, p.stamped_at, p.event_id) for p in journal.pushes()] == [
        (2, journal.at(8, 15, 30), first.event_id),
        (1, journal.at(8, 16), second.event_id),
    ]
    journal.assert_balanced()


def test_single_events_do_not_wait_for_their_hour_to_end(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    journal.record(1, metric="calls")
    journal.plan(open_hours=False)
    assert journal.values() == [1]


def test_an_event_is_planned_once_however_often_it_is_queued(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    journal.record(1, metric="calls")
    journal.plan()
    journal.customer("acct_1", None)
    journal.customer("acct_1", "cus_1")
    journal.ledger.execute(
        "INSERT INTO meter.unreported (at, event_id, series_id, biller)"
        " SELECT at, event_id, series_id, 'stripe' FROM meter.events"
    )
    assert journal.plan() == 1
    assert journal.values() == [1]


# ------------------------------------------------------------------------------------ not sums of parts


def test_a_maximum_and_unique_members_are_deltas_of_the_periods_value(journal: Journal) -> None:
    journal.metric("peak", "max", period="day")
    journal.metric("users", "unique", period="day")
    for quantity, member in ((5, "ada"), (3, "ada"), (9, "bob")):
        journal.record(quantity, metric="peak")
        journal.record(None, metric="users", member=member)
        journal.plan()
    assert journal.values(subject="acct_1") == [5, 1, 4, 1]
    assert sum(p.value for p in journal.pushes() if p.metric == "peak") == 9
    for push in journal.pushes():
        assert journal.at(0) <= push.stamped_at <= journal.now
        assert push.bucket_start == journal.at(0)


def test_a_maximum_below_zero_counts_as_none(journal: Journal) -> None:
    journal.metric("peak", "max", period="day")
    for quantity in (-5, 3):
        journal.record(quantity, metric="peak")
        journal.plan()
    assert journal.values() == [3]


def test_a_late_maximum_is_stamped_in_its_own_period(journal: Journal) -> None:
    journal.metric("peak", "max", period="day")
    journal.record(5, metric="peak", at=journal.at(-3))
    journal.plan()
    assert journal.pushes()[0].stamped_at == journal.at(0) - timedelta(seconds=1)


@pytest.mark.parametrize("aggregate", ["last", "min", "max", "avg", "sum", "count"])
def test_mode_last_sends_the_present_value_when_it_has_changed(journal: Journal, aggregate: str) -> None:
    journal.metric("level", aggregate, mode="last", period="day")
    journal.record(4, metric="level")
    journal.plan()
    journal.record(0, metric="level", at=journal.now - HOUR)
    journal.plan()
    journal.record(2, metric="level")
    journal.plan()
    values = {"last": [4, 2], "min": [4, 0], "max": [4], "avg": [4, 2], "sum": [4, 6], "count": [4, 6]}
    assert journal.values() == values[aggregate]
    assert {p.stamped_at for p in journal.pushes()} == {journal.now}


def test_a_metric_without_end_is_never_due(journal: Journal) -> None:
    journal.metric("ever", period="never")
    journal.metric("peak", "max", period="never")
    journal.record(1, metric="ever")
    journal.record(1, metric="peak")
    journal.plan()
    assert [(p.due_at, p.reason, p.stamped_at) for p in journal.pushes()] == 2 * [(None, None, journal.now)]


# ------------------------------------------------------------------------------------ too old, too late ...


def test_usage_that_is_too_old_is_held_restamped_or_left_by_the_setting(journal: Journal) -> None:
    old = journal.now - 40 * DAY
    outcomes = {}
    for hours, setting in enumerate(("hold", "restamp", "leave")):
        journal.rules(too_old=setting)
        journal.record(1, at=old + hours * HOUR)
        journal.plan()
        outcomes[setting] = journal.pushes()[-1]
    assert {s: (p.state, p.reason) for s, p in outcomes.items()} == {
        "hold": ("held", "too_old"),
        "restamp": ("planned", "too_old"),
        "leave": ("left", "too_old"),
    }
    assert outcomes["hold"].stamped_at == old
    assert outcomes["restamp"].stamped_at == journal.now
    assert outcomes["restamp"].due_at > journal.now
    assert [c.push_id for c in journal.claim()] == [outcomes["restamp"].push_id]
    journal.assert_balanced()


def test_usage_of_a_period_whose_invoice_is_closed_is_sent_restamped_or_held_by_the_setting(
    journal: Journal,
) -> None:
    journal.metric("daily", period="day")
    yesterday = journal.at(-10)
    outcomes = {}
    for hours, setting in enumerate(("send", "restamp", "hold")):
        journal.rules(late=setting)
        journal.record(1, metric="daily", at=yesterday + hours * HOUR)
        journal.plan()
        outcomes[setting] = journal.pushes()[-1]
    assert {s: (p.state, p.reason) for s, p in outcomes.items()} == {
        "send": ("planned", "late"),
        "restamp": ("planned", "late"),
        "hold": ("held", "late"),
    }
    assert outcomes["send"].stamped_at == yesterday
    assert outcomes["restamp"].stamped_at == journal.now
    journal.assert_balanced()


def test_usage_is_late_when_the_grace_after_its_period_is_over(journal: Journal) -> None:
    journal.metric("daily", period="day")
    for now, reason in ((journal.at(0, 59), None), (journal.at(1, 1), "late")):
        journal.now = now
        journal.record(1, metric="daily", at=journal.at(-2))
        journal.plan()
        push = journal.pushes()[-1]
        assert (push.reason, push.due_at) == (reason, journal.at(1))


def test_a_value_with_too_many_digits_is_held(journal: Journal) -> None:
    journal.record(Decimal("1234567890.12345"), at=journal.at(8))
    journal.record(Decimal("1234567890.123456"), at=journal.at(9))
    journal.record(Decimal("0.000000000000000000001"), at=journal.at(7))
    journal.plan()
    assert [(p.state, p.reason) for p in journal.pushes()] == [
        ("planned", None),
        ("planned", None),
        ("held", "too_many_digits"),
    ]
    journal.assert_balanced()


@pytest.mark.parametrize(
    ("quantities", "max_digits", "value"),
    [
        ([1, 1, 3], 15, "1.66666666666667"),
        ([1, 1, -3], 15, "-0.333333333333333"),
        ([1, 2], 1, "2"),  # 1.5: half away from zero
        ([-1, -2], 1, "-2"),
        ([1000, 1, 1], 3, "334"),
        (["0.001", 0, 0], 3, "0.000333"),
        ([0, 0], 15, "0"),
    ],
)
def test_an_average_is_rounded_to_the_digits_that_the_biller_takes(
    journal: Journal, quantities: list[Any], max_digits: int, value: str
) -> None:
    journal.rules(max_digits=max_digits)
    journal.metric("load", "avg", mode="last", period="day")
    for quantity in quantities:
        journal.record(quantity, metric="load")
    journal.plan()
    assert [(p.value, p.state) for p in journal.pushes()] == [(Decimal(value), "planned")]
    journal.record(Decimal(value), metric="load")  # which does not change it
    while journal.plan():
        pass
    status = journal.status(metric="load")
    assert (status["unplanned"].pushes, status["held"].pushes) == (0, 0)


def test_a_rollup_that_a_rebuild_lowers_makes_a_negative_delta(journal: Journal) -> None:
    """By default a person decides; the setting may also send or leave it."""
    outcomes = []
    for hours, setting in enumerate(("hold", "send", "leave")):
        journal.rules(negative=setting)
        at = journal.at(hours)
        journal.record(5, at=at)
        journal.ledger.tamper("total = total + 2", f"bucket = 'hour' AND bucket_start = '{at.isoformat()}'")
        journal.plan()
        journal.ledger.rebuild()
        assert journal.plan() > 0
        high, low = journal.pushes()[-2:]
        assert (high.value, low.value, low.reason) == (7, -2, None if setting == "send" else "negative")
        outcomes.append(low.state)
    assert outcomes == ["held", "planned", "left"]
    assert journal.ledger.verify() == []
    journal.assert_balanced()


def test_a_rollup_that_a_rebuild_restores_is_reported_in_full(journal: Journal) -> None:
    journal.record(5, at=journal.at(9))
    journal.ledger.forget("bucket = 'hour'")
    journal.plan()
    assert journal.values() == []
    journal.ledger.rebuild()
    journal.plan()
    assert journal.values() == [5]
    journal.ledger.rebuild()
    assert journal.plan() == 0
    journal.assert_balanced()


# ------------------------------------------------------------------------------------ preview


def test_a_preview_is_what_planning_then_does_and_does_nothing(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    journal.metric("level", "last", mode="last")
    journal.record(5, at=journal.at(8))
    journal.record(Decimal("0.100"), at=journal.now - 40 * DAY)
    journal.record(2, metric="calls")
    journal.record(7, metric="level")
    journal.record(7, subject="nobody")
    before = journal.ledger.state(), journal.queue()
    for open_hours in (False, True):
        previewed = journal.preview(open_hours=open_hours)
        assert (journal.ledger.state(), journal.queue()) == before
        with journal.ledger.connection.transaction(force_rollback=True):
            journal.plan(open_hours=open_hours)
            planned = journal.pushes()
        assert [
            (p.subject, p.metric, p.customer, p.event_name, Decimal(p.value), p.stamped_at, p.state, p.reason)
            for p in previewed
        ] == [
            (p.subject, p.metric, p.customer, p.event_name, p.value, p.stamped_at, p.state, p.reason)
            for p in planned
        ]
    assert {p.value for p in previewed} == {"5", "0.1", "2", "7"}


def test_what_is_sent_of_a_push_never_changes(journal: Journal) -> None:
    journal.record(5)
    journal.plan()
    for change in (
        "UPDATE meter.pushes SET value = 6",
        "UPDATE meter.pushes SET identifier = 'x'",
        "UPDATE meter.pushes SET stamped_at = stamped_at + interval '1 hour'",
        "UPDATE meter.pushes SET customer = 'cus_2'",
        "DELETE FROM meter.pushes",
        "TRUNCATE meter.pushes",
    ):
        with refused("42501"):
            journal.ledger.execute(change)
    assert journal.values() == [5]

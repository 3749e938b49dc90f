"""report_metric(), report_subject() and define_biller(): what is reported, to whom, and by which rules."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import psycopg
import pytest

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Task, at_length, refused
from tests.report.conftest import DAY, HOUR, Journal

NewJournal = Callable[..., Journal]
WaitUntilBlocked = Callable[[psycopg.Connection[Any], str], None]


# ------------------------------------------------------------------------------------ metrics


def test_mapping_a_metric_queues_what_is_there_already(journal: Journal) -> None:
    journal.ledger.define("calls", "count")
    journal.ledger.define("single", "count")
    journal.ledger.define("users", "unique", period="day")
    for minute in range(4):
        journal.record(None, metric="calls", at=journal.at(8, minute))
        journal.record(None, metric="single", at=journal.at(8, minute))
        journal.record(None, metric="users", member=f"user_{minute}")
    assert journal.queue() == 0
    journal.map("calls", "calls")
    journal.map("single", "single", "event")
    journal.map("users", "users")
    journal.plan()
    values: dict[str, list[Decimal]] = {}
    for push in journal.pushes():
        values.setdefault(push.metric, []).append(push.value)
    assert values == {"calls": [4], "single": [1, 1, 1, 1], "users": [4]}
    journal.assert_balanced()


_FIFTEEN = Context(prec=15)
MODES = {
    "count": ("delta", "event", "last"),
    "sum": ("delta", "event", "last"),
    "max": ("delta", "last"),
    "unique": ("delta", "last"),
    "min": ("last",),
    "avg": ("last",),
    "last": ("last",),
}


@pytest.mark.at_length
@pytest.mark.parametrize("aggregate", at_length(("sum", "unique", "avg", "max", "last"), AGGREGATES))
def test_all_usage_that_is_older_than_its_mapping_is_reported_whatever_its_kind(
    journal: Journal, aggregate: str
) -> None:
    """Every aggregate, period, rollup and mode: mapped after it was used, unmapped, used and mapped again."""
    kinds = [
        (f"{period}-{rollup}-{mode}", period, rollup, mode)
        for period in PERIODS
        for rollup in ROLLUPS
        for mode in MODES[aggregate]
        if not (
            mode == "delta"
            and aggregate in ("count", "sum")
            and (period if rollup == "none" else rollup) not in ("minute", "hour")
            and period not in ("minute", "hour")
        )
    ]
    for key, period, rollup, _ in kinds:
        journal.ledger.define(key, aggregate, period=period, rollup=rollup)
    members = iter(range(1000))

    def used(quantity: int, hours: float) -> None:
        journal.ledger.batch(
            [
                {"subject": "acct_1", "metric": key, "at": journal.at(hours)}
                | ({"member": f"m{next(members)}"} if aggregate == "unique" else {"quantity": quantity})
                for key, *_ in kinds
            ]
        )

    def reported() -> dict[str, Decimal]:
        """What is sent to the biller in all, per metric; of values the latest of each period."""
        while journal.plan():
            pass
        told: dict[str, Decimal] = defaultdict(Decimal)
        latest: dict[tuple[str, datetime], Decimal] = {}
        for push in journal.pushes():
            if push.mode == "last":
                latest[push.metric, push.bucket_start] = push.value
            else:
                told[push.metric] += push.value
        for (metric, _), value in latest.items():
            told[metric] += value
        return told

    def expected() -> dict[str, Decimal]:
        found: dict[str, Decimal] = defaultdict(Decimal)
        for row in journal.ledger.rows(
            "SELECT m.key, m.period, b.quantity FROM meter.metrics m CROSS JOIN LATERAL"
            " meter.series('acct_1', m.key, %s, %s, CASE WHEN m.period IN ('minute', 'hour', 'day')"
            " THEN m.period ELSE 'day' END) b WHERE m.key <> 'tokens' AND b.event_count > 0",
            [journal.at(7), journal.at(10)],
        ):
            found[row.key] += _FIFTEEN.plus(row.quantity)
        return found

    used(4, 8.25)
    used(9, 8.75)
    used(7, 9.5)
    for key, _, _, mode in kinds:
        journal.map(key, key, mode)
    assert len(reported()) == len(kinds)
    assert {p.state for p in journal.pushes()} == {"planned"}
    hourly = [key for key, period, *_ in kinds if period == "hour"]
    if aggregate not in ("unique", "count", "sum"):
        by_hour = {"max": 9 + 7, "min": 4 + 7, "avg": Decimal("6.5") + 7, "last": 9 + 7}[aggregate]
        assert {reported()[key] for key in hourly} == {by_hour}
    # Unmapped, used, and mapped again: nothing is passed over because two numbers happen to be equal.
    journal.customer(customer=None)
    used(1, 8.5)
    used(10, 9.9)
    journal.plan()
    journal.customer()
    after = reported()
    status = journal.status()
    assert (status["unmapped"].pushes, status["unplanned"].pushes) == (0, 0)
    for key, period, *_ in kinds:
        if period in ("minute", "hour"):
            assert after[key] == expected()[key], key
        total = journal.ledger.usage("acct_1", key, period="never").quantity
        if period in ("month", "year", "never"):
            assert after[key] == _FIFTEEN.plus(total), key


def test_an_hour_whose_average_equals_its_sum_of_before_is_reported(journal: Journal) -> None:
    journal.metric("load", "avg", mode="last", period="hour")
    journal.record(4, metric="load")
    journal.plan()
    journal.customer(customer=None)
    journal.record(0, metric="load")
    journal.plan()
    journal.customer()
    journal.plan()
    assert journal.values() == [4, 2]


def test_a_change_between_values_and_sums_takes_along_what_is_queued(journal: Journal) -> None:
    """A value is queued by its period, and a sum by its hours."""
    journal.ledger.define("calls", "count")
    for hours in (7, 8, 9):
        journal.record(None, metric="calls", at=journal.at(hours))
    journal.map("calls", "calls", "last")
    journal.map("calls", "calls", "delta")
    journal.plan()
    assert journal.values() == [1, 1, 1]
    journal.assert_balanced()


def test_the_same_mapping_again_changes_nothing(journal: Journal) -> None:
    journal.record(5)
    journal.plan()
    before = journal.map("tokens", "tokens"), journal.customer()
    assert (journal.map("tokens", "tokens"), journal.customer()) == before
    assert journal.queue() == 0
    assert journal.plan() == 0


def test_the_mode_that_is_left_out_stays_as_it_is(journal: Journal) -> None:
    journal.ledger.define("calls", "count")
    call = journal.ledger.call
    assert call("report_metric", metric="calls", event_name="calls")[0].mode == "delta"
    for mode in ("event", "delta", "event"):
        journal.map("calls", "calls", mode)
        assert call("report_metric", metric="calls", event_name="renamed")[0].mode == mode
        assert call("report_metric", metric="calls", event_name=None)[0].mode == mode
        assert call("report_metric", metric="calls", event_name="calls", mode=None)[0].mode == mode


def test_since_leaves_out_what_was_used_before(journal: Journal) -> None:
    journal.ledger.define("calls", "count")
    journal.ledger.define("single", "count")
    for hours in (6, 7, 8, 9):
        journal.record(None, metric="calls", at=journal.at(hours, 30))
        journal.record(None, metric="single", at=journal.at(hours, 30))
    journal.map("calls", "calls", since=journal.at(8))
    journal.map("single", "single", "event", since=journal.at(8, 30))
    # What arrives late for a time before that is not reported either.
    journal.record(None, metric="calls", at=journal.at(7, 45))
    journal.record(None, metric="single", at=journal.at(8, 15))
    journal.plan()
    assert sorted((p.metric, p.stamped_at) for p in journal.pushes()) == [
        (metric, journal.at(hours, 30)) for metric in ("calls", "single") for hours in (8, 9)
    ]
    # A later call without it keeps it; an earlier one takes in more.
    assert journal.map("calls", "calls").since == journal.at(8)
    assert journal.plan() == 0
    journal.map("calls", "calls", since=journal.at(7))
    journal.plan()
    assert [p.value for p in journal.pushes() if p.bucket_start == journal.at(7)] == [2]


def test_since_has_to_be_where_a_bucket_begins(journal: Journal) -> None:
    journal.ledger.define("peak", "max", period="day")
    with refused("22023", "since"):
        journal.map("tokens", "tokens", since=journal.at(8, 30))
    with refused("22023", "since"):
        journal.map("peak", "peak", since=journal.at(8))
    assert journal.map("peak", "peak", since=journal.at(0)).since == journal.at(0)


@pytest.mark.parametrize(
    ("aggregate", "mode", "rollup"),
    [
        ("min", "delta", "hour"),
        ("avg", "delta", "hour"),
        ("last", "delta", "hour"),
        ("max", "event", "hour"),
        ("min", "event", "hour"),
        ("avg", "event", "hour"),
        ("last", "event", "hour"),
        ("unique", "event", "hour"),
        ("sum", "delta", "day"),
        ("count", "delta", "none"),
    ],
)
def test_a_mode_that_would_report_wrong_totals_is_refused(
    journal: Journal, aggregate: str, mode: str, rollup: str
) -> None:
    journal.ledger.define("m", aggregate, rollup=rollup)
    with refused("UM002", "mode"):
        journal.map("m", "m", mode)
    assert journal.ledger.call("report_mappings") == journal.ledger.rows(
        "SELECT * FROM meter.report_metrics WHERE metric = 'tokens'"
    )


def test_a_metric_that_is_reported_keeps_the_rollup_that_it_needs(journal: Journal) -> None:
    for rollup in ("day", "none"):
        with refused("UM002", "rollup"):
            journal.ledger.define("tokens", "sum", rollup=rollup)
    journal.ledger.define("tokens", "sum", name="Tokens")
    journal.map("tokens", None)
    journal.ledger.define("tokens", "sum", rollup="day")
    with refused("UM002", "mode"):
        journal.map("tokens", "tokens")


def test_bad_mappings_are_refused(journal: Journal) -> None:
    for sqlstate, parameter, named in (
        ("UM001", "metric", {"metric": "nothing"}),
        ("22004", "metric", {"metric": None}),
        ("22023", "event_name", {"event_name": " "}),
        ("22023", "event_name", {"event_name": "x" * 101}),
        ("22023", "mode", {"mode": "sometimes"}),
        ("22004", "biller", {"biller": None}),
        ("22023", "biller", {"biller": ""}),
        ("22023", "since", {"since": "infinity"}),
    ):
        with refused(sqlstate, parameter):
            journal.ledger.call("report_metric", **{"metric": "tokens", "event_name": "x", **named})
    for sqlstate, parameter, named in (
        ("22004", "subject", {"subject": None}),
        ("22023", "subject", {"subject": ""}),
        ("22023", "customer", {"customer": "\t"}),
        ("22004", "biller", {"biller": None}),
    ):
        with refused(sqlstate, parameter):
            journal.ledger.call("report_subject", **{"subject": "a", "customer": "c", **named})


def test_a_recorder_that_has_read_the_catalog_is_waited_for(
    journal: Journal, new_journal: NewJournal, wait_until_blocked: WaitUntilBlocked
) -> None:
    """Its event was not queued, as nobody wanted it then; so it must be seen by what is queued now."""
    journal.ledger.define("calls", "count")
    recorder, mapper = new_journal("recorder", autocommit=False), new_journal("mapper")
    recorder.record(3, metric="calls")
    mapping = Task(lambda: mapper.map("calls", "calls"))
    wait_until_blocked(journal.ledger.connection, "mapper")
    recorder.ledger.connection.commit()
    mapping.result()
    journal.plan()
    assert journal.values() == [3]


def test_a_recorder_with_an_older_snapshot_than_the_mapping_has_to_try_again(
    journal: Journal, new_journal: NewJournal
) -> None:
    journal.ledger.define("calls", "count")
    recorder = new_journal("recorder", autocommit=False)
    recorder.ledger.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    recorder.ledger.value("SELECT 1")
    journal.map("calls", "calls")
    with pytest.raises(psycopg.errors.SerializationFailure):
        recorder.record(1, metric="calls")
    recorder.ledger.connection.rollback()
    recorder.record(1, metric="calls")
    recorder.ledger.connection.commit()
    journal.plan()
    assert journal.values() == [1]


def test_a_mapping_that_ends_stops_reporting_and_one_that_comes_back_misses_nothing(journal: Journal) -> None:
    journal.record(1, at=journal.at(8))
    journal.map("tokens", None)
    journal.record(2, at=journal.at(8))
    # What was queued while it was mapped is taken off the queue, and counted as not mapped.
    assert journal.plan() == 1
    assert journal.pushes() == []
    assert journal.status()["unmapped"].quantity == 3
    assert journal.ledger.call("report_mappings") == []
    journal.map("tokens", "tokens")
    journal.plan()
    assert journal.values() == [3]
    assert journal.status()["unmapped"].quantity == 0
    journal.assert_balanced()


def test_several_billers_are_told_independently(journal: Journal) -> None:
    journal.map("tokens", "tokens_test", biller="rehearsal")
    journal.customer(biller="rehearsal", customer="cus_test")
    journal.record(5)
    assert journal.plan() == 1
    assert journal.plan(biller="rehearsal") == 1
    assert journal.values() == [5]
    (push,) = journal.pushes(biller="rehearsal")
    assert (push.value, push.customer, push.event_name) == (5, "cus_test", "tokens_test")
    journal.map("tokens", None, biller="rehearsal")
    journal.record(1)
    assert journal.queue() == 1
    assert [m.billers for m in journal.ledger.call("catalog")] == [["stripe"]]
    journal.assert_balanced()


# ------------------------------------------------------------------------------------ modes


def test_a_change_from_deltas_to_events_reports_everything_once(
    journal: Journal, new_journal: NewJournal
) -> None:
    other = new_journal(autocommit=False)
    journal.record(1)
    journal.plan()
    journal.record(2)
    other.record(4, subject="acct_2")
    journal.map("tokens", "tokens", "event")
    # Recorded before the change, committed after it: part of the delta, not an event of its own.
    other.ledger.connection.commit()
    journal.customer("acct_2", "cus_2")
    journal.record(8)
    journal.plan()
    assert sorted((p.value, p.mode) for p in journal.pushes()) == [
        (1, "delta"),
        (2, "event"),
        (4, "event"),
        (8, "event"),
    ]
    assert [p.value for p in journal.pushes() if p.event_id is not None] == [8]
    assert journal.plan() == 0
    journal.assert_balanced()


def test_a_change_from_events_to_deltas_and_back_reports_everything_once(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    expected = 0
    for round_, mode in enumerate(("event", "delta", "event", "delta", "event")):
        journal.record(1 + round_, metric="calls")
        journal.map("calls", "calls", mode)
        journal.record(10, metric="calls")
        expected += 11 + round_
        if round_ % 2:
            journal.plan()
    journal.plan()
    assert sum(journal.values()) == expected
    journal.assert_balanced()


def test_values_do_not_become_sums(journal: Journal) -> None:
    journal.record(1)
    journal.plan()
    with refused("UM002", "mode"):
        journal.map("tokens", "tokens", "last")
    assert journal.map("tokens", "tokens", "last", biller="other").mode == "last"


# ------------------------------------------------------------------------------------ subjects


def test_usage_without_a_customer_is_counted_and_reported_once_there_is_one(journal: Journal) -> None:
    for hours in (8, 9):
        journal.record(1, subject="acct_2", at=journal.at(hours))
    assert journal.plan() == 2
    assert journal.pushes() == []
    unmapped = journal.status()["unmapped"]
    assert (unmapped.pushes, unmapped.quantity) == (1, 2)
    journal.customer("acct_2", "cus_2")
    assert journal.status()["unmapped"].quantity == 0
    assert journal.status()["unplanned"].quantity == 2
    journal.plan()
    assert [(p.customer, p.value) for p in journal.pushes()] == [("cus_2", 1), ("cus_2", 1)]
    journal.assert_balanced()


def test_a_subject_that_moves_takes_along_only_what_is_not_planned(journal: Journal) -> None:
    journal.record(1)
    journal.plan()
    journal.customer(customer="cus_9")
    journal.record(2)
    journal.plan()
    assert [(p.customer, p.value) for p in journal.pushes()] == [("cus_1", 1), ("cus_9", 2)]
    journal.assert_balanced()


def test_a_subject_that_goes_and_comes_back_misses_nothing(journal: Journal) -> None:
    journal.record(1)
    journal.plan()
    journal.customer(customer=None)
    journal.record(2)
    journal.plan()
    assert journal.values() == [1]
    assert journal.status()["unmapped"].quantity == 2
    journal.customer()
    journal.plan()
    assert journal.values() == [1, 2]
    journal.assert_balanced()


def test_mapping_a_subject_waits_for_a_plan_that_passes_it_by(
    journal: Journal, new_journal: NewJournal, wait_until_blocked: WaitUntilBlocked
) -> None:
    planner, mapper = new_journal("planner", autocommit=False), new_journal("mapper")
    journal.record(3, subject="acct_2")
    assert planner.plan() == 1
    mapping = Task(lambda: mapper.customer("acct_2", "cus_2"))
    wait_until_blocked(journal.ledger.connection, "mapper")
    planner.ledger.connection.commit()
    mapping.result()
    journal.plan()
    assert journal.values() == [3]


def test_a_recording_in_flight_while_its_subject_is_mapped_is_planned(
    journal: Journal, new_journal: NewJournal
) -> None:
    other = new_journal(autocommit=False)
    other.record(3, subject="acct_2")
    journal.customer("acct_2", "cus_2")
    assert journal.plan() == 0
    other.ledger.connection.commit()
    journal.plan()
    assert journal.values() == [3]


def test_a_subject_may_be_its_own_customer(journal: Journal) -> None:
    journal.record(1, subject="cus_own")
    journal.record(1)
    journal.plan()
    journal.rules(subject_is_customer=True)
    journal.plan()
    assert sorted(p.customer for p in journal.pushes()) == ["cus_1", "cus_own"]
    assert journal.status()["unmapped"].quantity == 0


def test_a_subject_too_long_for_a_customer_has_none_and_keeps_nobody_back(journal: Journal) -> None:
    journal.rules(subject_is_customer=True)
    for length in (255, 256, 512):
        journal.record(length, subject="x" * length)
    journal.record(1)
    journal.plan()
    assert sorted(journal.values()) == [1, 255]
    assert journal.status()["unmapped"].quantity == 256 + 512
    journal.customer("x" * 512, "cus_long")
    journal.plan()
    assert journal.values(subject="x" * 512) == [512]
    assert journal.status()["unmapped"].quantity == 256


# ------------------------------------------------------------------------------------ rules


def test_a_billers_name_leaves_room_for_the_longest_keys(journal: Journal) -> None:
    """They stand together in an index row, which has 2,704 bytes. Bytes that cannot be compressed."""
    chance = random.Random(1)
    subject, metric, biller = (
        "".join(chr(chance.randrange(0x10000, 0x1F000)) for _ in range(n)) for n in (512, 138, 16)
    )
    with refused("22023", "biller"):
        journal.rules(biller + "x")
    journal.rules(biller)
    journal.ledger.define(metric, "count")
    journal.customer(subject, "cus_1", biller=biller)
    for mode in ("delta", "event"):
        journal.map(metric, "calls", mode, biller=biller)
        journal.record(None, metric=metric, subject=subject)
        journal.plan(biller=biller)
    assert [p.value for p in journal.pushes(biller=biller)] == [1, 1]


def test_rules_begin_with_defaults_and_change_one_by_one(journal: Journal) -> None:
    rules = journal.rules()
    assert (rules.dedup_window, rules.dedup_margin, rules.max_age) == (DAY, HOUR, 35 * DAY)
    assert (rules.too_old, rules.negative, rules.late, rules.max_digits) == ("hold", "hold", "send", 15)
    changed = journal.rules(grace=timedelta(hours=72), late="restamp")
    assert changed == rules._replace(grace=timedelta(hours=72), late="restamp")
    assert journal.rules() == changed


@pytest.mark.parametrize(
    "rule",
    [
        {"dedup_margin": timedelta(hours=24)},
        {"dedup_margin": -HOUR},
        {"absence": -HOUR},
        {"max_age": timedelta(0)},
        {"grace": -HOUR},
        {"max_ahead": -HOUR},
        {"max_digits": 0},
        {"too_old": "send"},
        {"negative": "restamp"},
        {"late": "leave"},
    ],
)
def test_rules_that_cannot_be_are_refused(journal: Journal, rule: dict[str, Any]) -> None:
    before = journal.rules()
    with refused("22023"):
        journal.rules(**rule)
    assert journal.rules() == before


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_nothing_depends_on_the_time_zone_of_the_session(
    journal: Journal, new_journal: NewJournal, zone: str, clock: datetime
) -> None:
    other = new_journal()
    other.ledger.execute(f"SET TimeZone = '{zone}'")
    other.record(1, at=clock - timedelta(hours=1))
    other.plan()
    (push,) = other.pushes()
    assert push.bucket_start == journal.at(9)
    assert push.stamped_at == journal.at(9, 30)

"""maintain(keep): old months go, verified; what they counted stays, and nothing that comes late is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.helpers import AGGREGATES, PERIODS, Ledger, Task, at, midnight, refused

JANUARY, FEBRUARY = "events_2024_01", "events_2024_02"
KEEP = "13 months"

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]


def given(aggregate: str, i: int = 0) -> dict[str, Any]:
    return {"member": f"u{i}"} if aggregate == "unique" else {"quantity": i + 1}


def totals(ledger: Ledger) -> list[Any]:
    return ledger.rows(
        "SELECT u.* FROM meter.metrics m, meter.usage('a', m.key, period => 'never') u ORDER BY metric"
    )


def log_tables(ledger: Ledger) -> set[str]:
    return {
        row.name
        for row in ledger.rows("SELECT inhrelid::regclass::text AS name FROM pg_inherits")
        + ledger.rows(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relname ~ '^events'"
        )
    }


@pytest.fixture
def old(ledger: Ledger) -> Ledger:
    """A sum with events in January and February 2024 and today, every month in its partition."""
    ledger.define("m", "sum")
    for day in ("2024-01-15 10:15", "2024-01-31 23:59:59.999999", "2024-02-01"):
        ledger.record("a", "m", 5, at=at(day), idempotency_key=day)
    ledger.record("a", "m", 5)
    ledger.maintain()
    return ledger


def test_months_that_ended_before_the_horizon_are_dropped_and_again_it_does_nothing(old: Ledger) -> None:
    assert old.maintain(keep=KEEP) == [("dropped partition", JANUARY), ("dropped partition", FEBRUARY)]
    assert old.maintain(keep=KEEP) == []
    assert old.value("SELECT count(*) FROM meter.events") == 1
    assert not log_tables(old) & {f"meter.{JANUARY}", f"meter.{FEBRUARY}"}


def test_without_keep_nothing_is_ever_dropped(old: Ledger) -> None:
    assert old.maintain() == []
    assert old.maintain(keep=None, detach=True) == []
    assert old.value("SELECT count(*) FROM meter.events") == 4


def test_a_month_stays_until_its_last_instant_is_old_enough(ledger: Ledger) -> None:
    """Counted in days, so that the horizon is known whatever today is; in another time zone than UTC."""
    ledger.define("m", "sum")
    ledger.execute("SET timezone = 'Pacific/Kiritimati'")
    month = midnight(-200).replace(day=1)
    end = (month + timedelta(days=31)).replace(day=1)
    ledger.record("a", "m", 1, at=month)
    ledger.maintain()
    days = (midnight() - end).days
    assert ledger.maintain(keep=timedelta(days=days + 1)) == []
    assert ledger.maintain(keep=timedelta(days=days)) == [("dropped partition", f"events_{month:%Y_%m}")]


@pytest.mark.parametrize("period", PERIODS)
def test_everything_that_was_counted_stays(ledger: Ledger, period: str) -> None:
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate, period=period)
        for i, day in enumerate(("2024-01-15 10:15", "2024-01-29", "2024-01-31 23:00", "2026-06-18")):
            ledger.record("a", aggregate, at=at(day), idempotency_key=day, **given(aggregate, i % 3))
    ledger.maintain()
    before, derived = totals(ledger), ledger.derived()
    assert ("dropped partition", JANUARY) in ledger.maintain(keep=KEEP)
    assert ledger.verify() == []
    ledger.rebuild()
    assert ledger.derived() == derived
    assert totals(ledger) == before
    for aggregate in AGGREGATES:
        retry = ledger.record(
            "a", aggregate, at=at("2024-01-29"), idempotency_key="2024-01-29", **given(aggregate, 1)
        )
        assert retry.outcome == "duplicate"
        reuse = ledger.record("a", aggregate, idempotency_key="2024-01-29", **given(aggregate, 2))
        assert reuse.outcome == "conflict"


def test_striped_metrics_are_verified_as_they_are(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("m", "sum", striped=True)
    ledger.record("a", "m", 1, at=at("2024-01-15"))
    ledger.maintain()
    first = new_ledger("first", autocommit=False)
    first.record("a", "m", 2, at=at("2024-01-15"))
    ledger.record("a", "m", 4, at=at("2024-01-15"))
    first.connection.commit()
    again = ("again", "stripes are left to merge: run maintain() again")
    assert ledger.maintain(keep=KEEP) == [("dropped partition", JANUARY), again]
    assert ledger.maintain(keep=KEEP) == [("merged stripes", "2 rows")]
    assert ledger.usage("a", "m", period="never").quantity == 7


# ----------------------------------------------------------------------------------- verified, or kept


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE meter.rollups SET total = 99 WHERE bucket = 'hour' AND bucket_start = '2024-01-15 10:00Z'",
        "DELETE FROM meter.rollups WHERE bucket = 'hour' AND bucket_start = '2024-01-15 10:00Z'",
        "UPDATE meter.rollups SET event_count = 9 WHERE bucket = 'month' AND bucket_start = '2024-01-01Z'",
        "INSERT INTO meter.events (event_id, at, recorded_at, series_id, quantity)"
        " SELECT 1000, '2024-01-15 10:20Z', now(), series_id, 1 FROM meter.series",
    ],
)
def test_a_month_whose_rollups_differ_is_kept_until_it_is_rebuilt_and_others_go(
    old: Ledger, tamper: str
) -> None:
    old.execute(tamper)
    count = len(old.verify())
    kept, dropped = old.maintain(keep=KEEP)
    assert kept[0] == "kept partition"
    assert kept[1].startswith(f"{JANUARY}: {count} rollup")
    assert kept[1].endswith("from the log; run rebuild()")
    assert dropped == ("dropped partition", FEBRUARY)
    assert old.maintain(keep=KEEP) == [kept]
    old.rebuild()
    assert old.maintain(keep=KEEP) == [("dropped partition", JANUARY)]


def test_a_month_with_events_that_are_still_to_be_reported_is_kept(old: Ledger) -> None:
    old.rows("SELECT * FROM meter.report_metric('m', 'm', 'event')")
    old.rows("SELECT * FROM meter.report_subject('a', 'cus_1')")
    kept = old.maintain(keep=KEEP)
    assert {action for action, _ in kept} == {"kept partition"}
    assert all(why.endswith("some of its events have not been reported") for _, why in kept)
    old.rows("SELECT meter.plan_pushes()")
    assert {action for action, _ in old.maintain(keep=KEEP)} == {"dropped partition"}


KINDS = [
    ("month", "hour"), ("month", "day"), ("month", "none"), ("week", "none"), ("year", "none"),
    ("never", "none"), ("minute", "none"), ("minute", "day"), ("day", "none"),
]  # fmt: skip


def states(ledger: Ledger) -> dict[str, int]:
    return {
        row.state: int(row.quantity)
        for row in ledger.rows("SELECT * FROM meter.report_status()")
        if row.quantity
    }


def dropped(ledger: Ledger, how: str) -> None:
    """January and February 2024 are gone, by maintain() or by hand."""
    if how == "by hand":
        ledger.execute(f"DROP TABLE meter.{JANUARY}, meter.{FEBRUARY}")
    else:
        done = ledger.maintain(keep=KEEP, detach=how == "detach")
        assert {action for action, _ in done} == {
            f"{how}ed partition" if how == "detach" else "dropped partition"
        }


@pytest.mark.parametrize(("period", "rollup"), KINDS)
@pytest.mark.parametrize("how", ["drop", "detach", "by hand"])
def test_usage_of_a_dropped_month_is_reported_when_its_subject_is_mapped_later(
    ledger: Ledger, period: str, rollup: str, how: str
) -> None:
    """Event by event it cannot be any more, but by the hour, or as coarse as the rollup is."""
    ledger.define("m", "sum", period=period, rollup=rollup)
    ledger.rows("SELECT * FROM meter.report_metric('m', 'm', 'event')")
    for day, quantity in (("2024-01-15 10:15", 5), ("2024-01-31 23:59", 7), ("2024-02-01", 11)):
        ledger.record("a", "m", quantity, at=at(day))
    ledger.record("a", "m", 47)
    ledger.maintain()
    ledger.rows("SELECT meter.plan_pushes()")
    assert states(ledger) == {"unmapped": 70}
    dropped(ledger, how)
    assert states(ledger) == {"unmapped": 70}
    # An event that comes late, into a month that has lost its partition.
    ledger.record("a", "m", 100, at=at("2024-01-15 10:20"))
    assert states(ledger) == {"unmapped": 170}
    ledger.rows("SELECT * FROM meter.report_subject('a', 'cus_1')")
    assert states(ledger) == {"unplanned": 170}
    ledger.rows("SELECT meter.plan_pushes()")
    assert states(ledger) == {"held": 123, "planned": 47}
    ledger.record("a", "m", 1000, at=at("2024-01-15 10:21"))
    assert states(ledger) == {"held": 123, "planned": 47, "unplanned": 1000}
    for again in (None, "cus_1"):
        ledger.rows("SELECT * FROM meter.report_subject('a', %s)", [again])
        ledger.rows("SELECT meter.plan_pushes()")
    assert states(ledger) == {"held": 1123, "planned": 47}


@pytest.mark.parametrize("how", ["drop", "detach", "by hand"])
def test_what_is_queued_as_a_delta_survives_its_month_and_a_change_to_single_events(
    old: Ledger, how: str
) -> None:
    old.rows("SELECT * FROM meter.report_metric('m', 'm')")
    old.rows("SELECT * FROM meter.report_subject('a', 'cus_1')")
    old.record("a", "m", 13, at=at("2024-01-20"))
    old.maintain()
    assert states(old) == {"unplanned": 33}
    dropped(old, how)
    assert states(old) == {"unplanned": 33}
    for mode in ("event", "delta", "event"):
        old.rows("SELECT * FROM meter.report_metric('m', 'm', %s)", [mode])
        assert states(old) == {"unplanned": 33}
    old.rows("SELECT meter.plan_pushes()")
    assert states(old) == {"held": 28, "planned": 5}


def test_a_rehearsal_keeps_no_month(old: Ledger) -> None:
    old.rows("SELECT * FROM meter.report_metric('m', 'm', 'event', 'stripe_shadow')")
    assert {action for action, _ in old.maintain(keep=KEEP)} == {"dropped partition"}
    total = "SELECT sum(quantity) FROM meter.report_status('stripe_shadow')"
    assert old.value(total) == 20
    old.rows("SELECT * FROM meter.report_subject('a', 'cus_1', 'stripe_shadow')")
    old.rows("SELECT meter.plan_pushes('stripe_shadow')")
    assert old.value(total) == 20
    assert sum(row.value for row in old.rows("SELECT * FROM meter.pushes('stripe_shadow')")) == 20


def test_the_end_of_a_mapping_lets_its_months_go(old: Ledger) -> None:
    old.rows("SELECT * FROM meter.report_metric('m', 'm', 'event')")
    assert {action for action, _ in old.maintain(keep=KEEP)} == {"kept partition"}
    old.rows("SELECT * FROM meter.report_metric('m', null)")
    assert {action for action, _ in old.maintain(keep=KEEP)} == {"dropped partition"}
    assert states(old) == {"unmapped": 20}


def test_a_month_is_kept_for_a_time_inside_of_an_hour_that_reporting_begins_at(old: Ledger) -> None:
    """The rollup of that hour does not tell which part of it is to be reported."""
    old.record("a", "m", 3, at=at("2024-01-15 10:45"))
    old.maintain()
    old.rows("SELECT * FROM meter.report_metric('m', 'm', 'event', since => %s)", [at("2024-01-15 10:30")])
    old.rows("SELECT meter.plan_pushes()")
    assert states(old) == {"unmapped": 18}
    kept, gone = old.maintain(keep=KEEP)
    assert kept[0] == "kept partition"
    assert kept[1].startswith(f"{JANUARY}: reporting of 'm' to 'stripe' begins within one of its hours")
    assert gone == ("dropped partition", FEBRUARY)
    old.rows("SELECT * FROM meter.report_subject('a', 'cus_1')")
    old.rows("SELECT meter.plan_pushes()")
    assert states(old) == {"held": 13, "planned": 5}
    assert old.maintain(keep=KEEP) == [("dropped partition", JANUARY)]
    assert states(old) == {"held": 13, "planned": 5}


def test_a_month_whose_members_differ_is_kept(ledger: Ledger) -> None:
    ledger.define("u", "unique")
    ledger.record("a", "u", member="x", at=at("2024-01-15"))
    ledger.maintain()
    ledger.execute("UPDATE meter.unique_members SET seen = seen & ~ seen")
    assert ledger.maintain(keep=KEEP)[0][0] == "kept partition"
    ledger.rebuild()
    assert ledger.maintain(keep=KEEP) == [("dropped partition", JANUARY)]


@pytest.mark.parametrize(
    ("period", "tampered", "kept"),
    [
        ("year", "2024-01-01Z", {JANUARY, FEBRUARY}),
        ("year", "2026-01-01Z", set()),
        ("never", "1970-01-01Z", {JANUARY, FEBRUARY}),
        ("week", "2024-01-29Z", {JANUARY, FEBRUARY}),
        ("week", "2024-01-15Z", {JANUARY}),
    ],
)
def test_a_bucket_that_also_covers_other_months_must_be_right_before_any_of_them_goes(
    ledger: Ledger, period: str, tampered: str, kept: set[str]
) -> None:
    ledger.define("m", "sum", period=period)
    for day in ("2024-01-15", "2024-01-31", "2024-02-01", "2026-01-05"):
        ledger.record("a", "m", 5, at=at(day))
    ledger.maintain()
    ledger.tamper("total = 99", f"bucket = '{period}' AND bucket_start = '{tampered}'")
    done = ledger.maintain(keep="24 months")
    assert {what.split(":")[0] for action, what in done if action == "kept partition"} == kept
    assert {what for action, what in done if action == "dropped partition"} == {JANUARY, FEBRUARY} - kept
    ledger.rebuild()
    assert ledger.usage("a", "m", period="never").quantity == 20


def test_a_partition_that_other_objects_depend_on_is_kept_and_others_go(old: Ledger) -> None:
    old.execute(f"CREATE VIEW january AS SELECT * FROM meter.{JANUARY}")
    assert set(old.maintain(keep=KEEP)) == {
        ("kept partition", f"{JANUARY}: other objects depend on it"),
        ("dropped partition", FEBRUARY),
    }
    assert old.usage("a", "m", since=at("2024-01-15 10:10"), until=at("2024-01-15 10:20")).quantity == 5


def test_strays_are_moved_first_and_go_once_they_have_been_verified_in_their_month(old: Ledger) -> None:
    old.record("a", "m", 5, at=at("2023-07-01"))
    moved = old.maintain(keep=KEEP)
    assert ("created partition", "events_2023_07") in moved
    assert ("moved strays", "1 event") in moved
    assert ("dropped partition", JANUARY) in moved
    assert old.maintain(keep=KEEP) == [("dropped partition", "events_2023_07")]
    assert old.usage("a", "m", period="never").quantity == 25


# ------------------------------------------------------------------------------------------ late events


def test_events_that_come_after_the_drop_are_counted_and_dropped_in_their_turn(old: Ledger) -> None:
    old.maintain(keep=KEEP)
    for quantity in (7, 8):
        old.record("a", "m", quantity, at=at("2024-01-15 10:16"))
        month = {"since": at("2024-01-01"), "until": at("2024-02-01")}
        counted = old.usage("a", "m", **month)
        assert ("created partition", JANUARY) in old.maintain(keep=KEEP)
        assert old.verify() == []
        assert old.rebuild() == 0
        ((action, what),) = old.maintain(keep=KEEP)
        assert action == "dropped partition"
        assert what.startswith(f"{JANUARY}: late events")
        assert old.maintain(keep=KEEP) == []
        assert old.verify() == []
        assert old.rebuild() == 0
        assert old.usage("a", "m", **month) == counted
    assert counted.quantity == 25


@pytest.mark.parametrize("how", ["record", "batch"])
def test_p1_an_event_in_flight_while_its_month_is_dropped_is_not_lost(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    """The one that is in flight has a lower id than the one that is there: ids do not tell."""
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    late = {"subject": "a", "metric": "m", "quantity": 7, "at": at("2024-01-20"), "idempotency_key": "late"}
    if how == "record":
        writer.record(**late)
    else:
        writer.batch([late])
    old.record("b", "m", 1, at=at("2024-01-21"))
    maintaining = Task(lambda: maintainer.maintain(keep=KEEP))
    wait_until_blocked(old.connection, "maintainer")
    assert maintaining.running
    writer.connection.commit()
    assert maintaining.result() == [
        ("postponed partition", f"{JANUARY}: events were recorded while it was verified"),
        ("dropped partition", FEBRUARY),
    ]
    assert old.value(f"SELECT count(*) FROM meter.{JANUARY} WHERE quantity = 7") == 1
    assert old.verify() == []
    assert old.maintain(keep=KEEP) == [("dropped partition", JANUARY)]
    assert old.record(**late).outcome == "duplicate"
    assert old.usage("a", "m", period="never").quantity == 27
    assert old.usage("a", "m", since=at("2024-01-20"), until=at("2024-01-21")).quantity == 7


def test_p1_an_event_that_is_rolled_back_meanwhile_keeps_nothing(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    writer.record("a", "m", 7, at=at("2024-01-20"))
    maintaining = Task(lambda: maintainer.maintain(keep=KEEP))
    wait_until_blocked(old.connection, "maintainer")
    writer.connection.rollback()
    assert [action for action, _ in maintaining.result()] == ["dropped partition"] * 2
    assert old.usage("a", "m", period="never").quantity == 20


def test_p1_an_event_that_commits_between_the_count_and_the_verification_is_not_lost(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    rebuilder, maintainer = new_ledger("rebuilder", autocommit=False), new_ledger("maintainer")
    rebuilder.rebuild(subject="nobody")
    maintaining = Task(lambda: maintainer.maintain(keep=KEEP))
    wait_until_blocked(old.connection, "maintainer")
    old.record("a", "m", 7, at=at("2024-01-20"))
    rebuilder.connection.commit()
    assert (
        "postponed partition",
        f"{JANUARY}: events were recorded while it was verified",
    ) in maintaining.result()
    assert old.verify() == []
    assert old.value(f"SELECT count(*) FROM meter.{JANUARY} WHERE quantity = 7") == 1


def test_a_writer_that_waited_for_the_drop_is_counted(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    maintainer, writer = new_ledger("maintainer", autocommit=False), new_ledger("writer")
    maintainer.maintain(keep=KEEP)
    writing = Task(lambda: writer.record("a", "m", 7, at=at("2024-01-20")))
    wait_until_blocked(old.connection, "writer")
    maintainer.connection.commit()
    assert writing.result().outcome == "recorded"
    assert old.value("SELECT count(*) FROM meter.events_default") == 1
    assert old.usage("a", "m", period="never").quantity == 27
    assert old.verify() == []


@pytest.mark.parametrize("by", ["maintain", "hand"])
@pytest.mark.parametrize("question", ["verify", "rebuild"])
def test_who_waited_to_compare_rollups_with_the_log_leaves_those_of_the_dropped_month(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, by: str, question: str
) -> None:
    """Its snapshot still has the month's partition; the log that it then reads has not."""
    before = old.derived()
    maintainer, asker = new_ledger("maintainer", autocommit=False), new_ledger("asker")
    if by == "maintain":
        maintainer.maintain(keep=KEEP)
    else:
        maintainer.execute(f"DROP TABLE meter.{JANUARY}, meter.{FEBRUARY}")
    asking = Task(lambda: asker.call(question))
    wait_until_blocked(old.connection, "asker")
    maintainer.connection.commit()
    assert asking.result() in ([], [(0,)])
    assert old.derived() == before


def test_while_it_verifies_a_definition_may_change_without_keeping_recorders_waiting(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """A transaction that has recorded and then defines does not deadlock with it either."""
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    writer.record("a", "m", 7)
    maintaining = Task(lambda: maintainer.maintain(keep=KEEP))
    wait_until_blocked(old.connection, "maintainer")  # verified by now
    writer.define("m", "sum", rollup="day")
    writer.connection.commit()
    assert maintaining.error() is None
    assert old.usage("a", "m", period="never").quantity == 27
    assert old.verify() == []


def test_a_transaction_that_records_twice_never_deadlocks_with_the_merging_of_stripes(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    old.define("hot", "sum", striped=True)
    earlier = datetime.now(UTC) - timedelta(hours=2)
    old.record("b", "hot", 0, at=earlier)
    first = new_ledger("first", autocommit=False)
    first.record("b", "hot", 1, at=earlier)
    old.record("b", "hot", 2, at=earlier)
    first.connection.commit()
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    writer.record("c", "m", 1)
    maintaining = Task(lambda: maintainer.maintain(keep=KEEP))
    wait_until_blocked(old.connection, "maintainer")
    writer.record("b", "hot", 4, at=earlier)
    writer.connection.commit()
    assert maintaining.result()[-1] == ("again", "stripes are left to merge: run maintain() again")
    assert old.maintain(keep=KEEP) == [("merged stripes", "3 rows")]
    assert old.usage("b", "hot", period="never").quantity == 7
    assert old.verify() == []


# ---------------------------------------------------------------------------------------------- detach


def test_detached_months_are_tables_of_their_own_that_are_still_append_only(old: Ledger) -> None:
    assert old.maintain(keep=KEEP, detach=True) == [
        ("detached partition", f"{JANUARY} as {JANUARY}_detached"),
        ("detached partition", f"{FEBRUARY} as {FEBRUARY}_detached"),
    ]
    table = f"meter.{JANUARY}_detached"
    assert old.value(f"SELECT sum(quantity) FROM {table}") == 10
    assert old.value("SELECT count(*) FROM meter.events") == 1
    for statement in (f"UPDATE {table} SET quantity = 9", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with refused("42501"):
            old.execute(statement)
    assert old.verify() == []
    old.record("a", "m", 7, at=at("2024-01-20"))
    assert ("created partition", JANUARY) in old.maintain(keep=KEEP, detach=True)
    ((action, what),) = old.maintain(keep=KEEP, detach=True)
    assert action == "detached partition"
    assert what.startswith(f"{JANUARY} as {JANUARY}_detached_2: late events")
    assert old.usage("a", "m", since=at("2024-01-01"), until=at("2024-02-01")).quantity == 17
    old.execute(f"DROP TABLE {table}")
    assert old.verify() == []


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "keep",
    [
        "0",
        "-13 months",
        "13",
        "13 minutes",
        "23:59:59.999999",
        "2 months -40 days",
        "13 months -1 second",
        "-1 month 60 days",
        "1001 years",
        "100000 years",
    ],
)
def test_p8_a_keep_that_cannot_be_meant_is_refused(old: Ledger, keep: str) -> None:
    with refused("22023", "keep"):
        old.maintain(keep=keep)
    assert old.value("SELECT count(*) FROM meter.events") == 4


def test_p8_an_infinite_keep_is_refused(old: Ledger) -> None:
    if old.connection.info.server_version < 170000:
        pytest.skip("intervals are finite before PostgreSQL 17")
    for keep in ("infinity", "-infinity"):
        with refused("22023", "keep"):
            old.maintain(keep=keep)


def test_p8_a_null_detach_is_refused(old: Ledger) -> None:
    with refused("22004", "detach"):
        old.maintain(keep=KEEP, detach=None)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_an_old_snapshot_drops_nothing(old: Ledger, isolation: str) -> None:
    old.execute(f"SET default_transaction_isolation = '{isolation}'")
    with refused("25001"):
        old.maintain(keep=KEEP)


@pytest.mark.slow
def test_it_gives_up_where_the_log_stays_locked_and_has_changed_nothing(
    old: Ledger, new_ledger: NewLedger
) -> None:
    reader = new_ledger("reader", autocommit=False)
    reader.call("events", subject="a")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        old.maintain(keep=KEEP)
    reader.connection.commit()
    assert old.value("SELECT count(*) FROM meter.events") == 4

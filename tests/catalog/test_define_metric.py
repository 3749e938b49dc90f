"""define_metric(): an idempotent upsert that never changes what events already mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Ledger, Task, at, committed_or, covering, refused


def test_a_definition_has_the_documented_defaults(ledger: Ledger) -> None:
    metric = ledger.define("tokens", "sum", "token")
    assert (metric.key, metric.aggregate, metric.unit) == ("tokens", "sum", "token")
    assert (metric.name, metric.description, metric.period, metric.rollup) == (None, None, "month", "hour")
    assert (metric.striped, metric.max_future, metric.retired_at) == (False, timedelta(days=1), None)
    assert metric.defined_at is not None


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_every_aggregate_period_and_rollup_can_be_defined(ledger: Ledger, aggregate: str) -> None:
    for period in PERIODS:
        for rollup in ROLLUPS:
            metric = ledger.define(f"{aggregate} {period} {rollup}", aggregate, period=period, rollup=rollup)
            assert (metric.aggregate, metric.period, metric.rollup) == (aggregate, period, rollup)


def test_the_same_definition_again_changes_nothing(ledger: Ledger) -> None:
    first = ledger.define("tokens", "sum", "token", name="Tokens", period="day")
    before = ledger.value("SELECT xmin::text FROM meter.metrics")
    assert ledger.define("tokens", "sum", "token", name="Tokens", period="day") == first
    assert ledger.value("SELECT xmin::text FROM meter.metrics") == before


EVERYTHING = {
    "name": "Seats",
    "description": "Paid seats.",
    "period": "day",
    "rollup": "none",
    "striped": True,
    "max_future": timedelta(hours=2),
    "carry": True,
}


def test_what_is_left_out_stays_as_it_is(ledger: Ledger) -> None:
    first = ledger.define("seats", "last", "seat", **EVERYTHING)
    ledger.record("a", "seats", 5)
    before = ledger.value("SELECT xmin::text FROM meter.metrics")
    assert ledger.define("seats", "last", "seat") == first
    assert ledger.define("seats", "last", "seat", **dict.fromkeys(EVERYTHING)) == first
    for name, value in EVERYTHING.items():
        assert ledger.define("seats", "last", "seat", **{name: value}) == first
    assert ledger.value("SELECT xmin::text FROM meter.metrics") == before
    assert ledger.define("seats", "last", "seat", name="Chairs") == first._replace(name="Chairs", revision=2)


def test_an_empty_name_or_description_removes_it(ledger: Ledger) -> None:
    ledger.define("seats", "last", "seat", name="Seats", description="Paid seats.")
    metric = ledger.define("seats", "last", "seat", name="", description="")
    assert (metric.name, metric.description) == (None, None)
    assert ledger.define("new", "last", "seat", name="").name is None


def test_a_definition_that_changes_nothing_keeps_nobody_waiting(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("tokens", "sum", "token", name="Tokens", rollup="day", period="year")
    writer, definer = new_ledger("writer", autocommit=False), new_ledger("definer", autocommit=False)
    writer.record("a", "tokens", 5)
    definer.execute("SET lock_timeout = '1s'")
    definer.define("tokens", "sum", "token")
    ledger.execute("SET lock_timeout = '1s'")
    assert ledger.record("b", "tokens", 5).outcome == "recorded"
    writer.connection.commit()
    definer.connection.commit()
    ledger.tamper("total = 99")
    ledger.define("tokens", "sum", "token")
    assert ledger.verify() != [], "rebuilt"


def test_only_last_is_carried_over(ledger: Ledger) -> None:
    ledger.define("seats", "last", "seat", carry=True)
    assert ledger.define("seats", "sum", "seat").carry is False


def test_what_does_not_change_the_meaning_may_change(ledger: Ledger) -> None:
    ledger.define("tokens", "sum", "token")
    ledger.record("a", "tokens", 5)
    changed = ledger.define("tokens", "sum", "tok", name="T", description="D", max_future="2 days")
    assert (changed.unit, changed.name, changed.description) == ("tok", "T", "D")
    assert ledger.usage("a", "tokens").quantity == 5


@pytest.mark.parametrize("change", [{"aggregate": "max"}, {"period": "day"}, {"aggregate": "unique"}])
def test_aggregate_and_period_of_a_metric_with_events_are_kept(
    ledger: Ledger, change: dict[str, str]
) -> None:
    ledger.define("tokens", "sum", "token")
    ledger.record("a", "tokens", 5)
    before = ledger.call("catalog")
    with refused("UM002"):
        ledger.define(**({"key": "tokens", "aggregate": "sum"} | change))
    assert ledger.call("catalog") == before


def test_aggregate_and_period_of_a_metric_without_events_may_change(ledger: Ledger) -> None:
    ledger.define("tokens", "sum", "token")
    assert ledger.define("tokens", "max", "token", period="day").aggregate == "max"
    ledger.record("a", "tokens", 5)
    ledger.record("a", "tokens", 3)
    assert ledger.usage("a", "tokens").quantity == 5


def test_the_aggregate_is_kept_when_only_an_old_partition_held_the_events(ledger: Ledger) -> None:
    ledger.define("tokens", "sum", "token")
    ledger.record("a", "tokens", 5, at=at("2024-05-10"))
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2024_05")
    with refused("UM002"):
        ledger.define("tokens", "max", "token")


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_changed_rollup_is_rebuilt_from_the_log(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate, rollup="hour")
    for hour in range(0, 60, 7):
        given = {"member": f"u{hour % 3}"} if aggregate == "unique" else {"quantity": hour}
        ledger.record("a", "m", at=at("2026-06-01 00:30") + timedelta(hours=hour), **given)
    window = {"since": at("2026-06-01 05:00"), "until": at("2026-06-03 03:00")}
    expected = ledger.usage("a", "m", **window)
    for rollup in ("day", "none", "minute", "hour", "day"):
        ledger.define("m", aggregate, rollup=rollup)
        assert ledger.verify() == []
        assert ledger.usage("a", "m", **window) == expected
        assert (
            ledger.value("SELECT count(*) FROM meter.buckets WHERE bucket NOT IN ('month', %s)", [rollup])
            == 0
        )


TWICE = """
    SELECT bucket, bucket_start, stripe FROM meter.buckets GROUP BY series_id, bucket, bucket_start, stripe
    HAVING count(*) > 1
"""
NEXT = {"the same hour": timedelta(0), "late": timedelta(hours=-30), "ahead": timedelta(hours=3)}


@pytest.mark.at_length
@pytest.mark.parametrize("striped", [False, True])
@pytest.mark.parametrize("period", ["hour", "day", "month"])
def test_recording_goes_on_where_it_was_after_a_changed_rollup(
    ledger: Ledger, new_ledger: Callable[..., Ledger], period: str, striped: bool
) -> None:
    now = datetime.now(UTC)
    other = new_ledger()
    periods, changes = ["hour", "day", "month"], permutations(ROLLUPS, 2)
    for case in covering(2, periods, [False, True], changes, NEXT):
        if case[:2] == (period, striped):
            (before, after), name = case[2:]
            distance = NEXT[name]
            metric = f"{before} to {after}, {name}"
            ledger.define(metric, "sum", period=period, rollup=before, striped=striped)
            for hours in (-50, -25, -1, 0, 0, 2):
                ledger.record("a", metric, 1, at=now + timedelta(hours=hours))
                other.record("a", metric, 1, at=now + timedelta(hours=hours))
            ledger.define(metric, "sum", rollup=after)
            for moment in (now + distance, now, now + distance):
                other.record("a", metric, 1, at=moment)
                recorded = ledger.record("a", metric, 1, at=moment)
                window = {"since": recorded.period_start, "until": recorded.period_end}
                assert recorded.quantity == ledger.brute("a", metric, **window)[0], metric
            assert ledger.rows(TWICE) == [], metric
    assert ledger.verify() == []


def test_a_changed_rollup_leaves_other_metrics_alone(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("other", "sum")
    ledger.record("a", "m", 1)
    ledger.record("a", "other", 1)
    ledger.tamper("total = 99", "metric = 'other'")
    ledger.define("m", "sum", rollup="day")
    assert {drift.metric for drift in ledger.verify()} == {"other"}


@pytest.mark.parametrize(
    ("given", "sqlstate", "parameter"),
    [
        ({"key": None}, "22004", "key"),
        ({"key": ""}, "22023", "key"),
        ({"key": " \t\n"}, "22023", "key"),
        ({"key": "x" * 513}, "22023", "key"),
        ({"aggregate": None}, "22004", "aggregate"),
        ({"aggregate": "median"}, "22023", "aggregate"),
        ({"aggregate": "SUM"}, "22023", "aggregate"),
        ({"unit": None}, "22004", "unit"),
        ({"unit": " "}, "22023", "unit"),
        ({"period": "fortnight"}, "22023", "period"),
        ({"period": "30 days"}, "22023", "period"),
        ({"rollup": "week"}, "22023", "rollup"),
        ({"max_future": "-1 second"}, "22023", "max_future"),
        ({"max_future": "-1 month 30 days"}, "22023", "max_future"),
        ({"max_future": "1 day -1 microsecond"}, "22023", "max_future"),
        ({"max_future": "200 years"}, "22023", "max_future"),
        ({"carry": True}, "22023", "carry"),
    ],
)
def test_p8_a_bad_definition_is_refused(
    ledger: Ledger, given: dict[str, object], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        ledger.define(**({"key": "m", "aggregate": "sum"} | given))  # type: ignore[arg-type]
    assert ledger.call("catalog") == []


@pytest.mark.parametrize("max_future", ["infinity", "1 month -1 day", "-1 month 60 days"])
def test_an_odd_max_future_is_refused_or_works(ledger: Ledger, max_future: str) -> None:
    if max_future == "infinity" and ledger.connection.info.server_version < 170000:
        pytest.skip("intervals are finite before PostgreSQL 17")
    with committed_or(ledger.connection, "22023"):
        ledger.define("m", "sum", max_future=max_future)
        assert ledger.record("a", "m", 1).outcome == "recorded"


@pytest.mark.parametrize(
    "key", ["'; DROP TABLE meter.events; --", '"quoted"', "€ 🎉", "%s %(x)s", "m" * 200, "a.b/c d"]
)
def test_keys_units_and_texts_are_data(ledger: Ledger, key: str) -> None:
    metric = ledger.define(key, "sum", key, name=key, description=key)
    assert (metric.key, metric.unit, metric.name, metric.description) == (key, key, key, key)
    assert ledger.record("a", key, 5).unit == key
    assert ledger.usage("a", key).quantity == 5


# ------------------------------------------------------------------------------------------------ races


def test_changing_the_aggregate_waits_for_a_record_in_flight(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "sum")
    writer, definer = new_ledger("writer", autocommit=False), new_ledger("definer")
    writer.record("a", "m", 5)
    defining = Task(lambda: definer.define("m", "max"))
    wait_until_blocked(ledger.connection, "definer")
    writer.connection.commit()
    assert defining.error().sqlstate == "UM002"
    assert ledger.call("catalog")[0].aggregate == "sum"
    assert ledger.verify() == []


def test_changing_the_aggregate_goes_on_when_the_record_in_flight_is_rolled_back(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "sum")
    writer, definer = new_ledger("writer", autocommit=False), new_ledger("definer")
    writer.record("a", "m", 5)
    defining = Task(lambda: definer.define("m", "max"))
    wait_until_blocked(ledger.connection, "definer")
    writer.connection.rollback()
    assert defining.result().aggregate == "max"


@pytest.mark.parametrize("batch", [False, True])
def test_a_record_that_waits_for_a_definition_records_by_the_new_one(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None], batch: bool
) -> None:
    ledger.define("m", "sum")
    definer, writer = new_ledger("definer", autocommit=False), new_ledger("writer")
    if batch:  # the definition is in the writer's cached plans
        writer.batch([{"subject": "z", "metric": "m", "quantity": "x"}], "skip")
    definer.define("m", "max", period="day")
    event = {"subject": "a", "metric": "m", "quantity": 5}
    recording = Task(lambda: writer.batch([event]) if batch else writer.record(**event))
    wait_until_blocked(ledger.connection, "writer")
    definer.connection.commit()
    recording.result()
    ledger.record("a", "m", 3)
    assert ledger.usage("a", "m").quantity == 5
    assert ledger.verify() == []


def test_a_first_definition_is_not_replaced_by_a_racing_one_after_it_has_events(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.define("m", "sum")
    first.record("a", "m", 5)
    first.record("a", "m", 3)
    defining = Task(lambda: second.define("m", "max"))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    error = defining.error()
    assert ledger.verify() == []
    assert error is not None
    assert error.sqlstate in ("UM002", "25001")
    assert ledger.usage("a", "m").quantity == 8


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_aggregate_is_not_changed_from_a_snapshot_that_may_be_old(
    ledger: Ledger, new_ledger: Callable[..., Ledger], isolation: str
) -> None:
    ledger.define("m", "sum")
    definer = new_ledger("definer", autocommit=False)
    definer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    definer.call("catalog")
    ledger.record("a", "m", 5)
    ledger.record("a", "m", 3)
    with committed_or(definer.connection, "UM002", "25001"):
        definer.define("m", "max")
    assert ledger.verify() == []
    assert ledger.usage("a", "m").quantity == 8


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_rollup_is_not_changed_from_a_snapshot_that_may_be_old(
    ledger: Ledger, new_ledger: Callable[..., Ledger], isolation: str
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2026-06-01 05:00"))
    definer = new_ledger("definer", autocommit=False)
    definer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    definer.call("catalog")
    ledger.record("b", "m", 2, at=at("2026-06-02 05:00"))
    with committed_or(definer.connection, "25001"):
        definer.define("m", "sum", rollup="day")
    assert ledger.verify() == []
    day = {"since": at("2026-06-02"), "until": at("2026-06-03")}
    assert ledger.usage("b", "m", **day).quantity == 2


def test_a_changed_rollup_and_a_rebuild_never_deadlock(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    first = new_ledger("first", autocommit=False)
    second, definer = new_ledger("second"), new_ledger("definer")
    first.rebuild()
    rebuilding = Task(second.rebuild)
    wait_until_blocked(ledger.connection, "second")
    defining = Task(lambda: definer.define("m", "sum", rollup="day"))
    wait_until_blocked(ledger.connection, "definer")
    first.connection.commit()
    assert [rebuilding.error(), defining.error()] == [None, None]
    assert ledger.verify() == []


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_change_waits_five_seconds_at_most_for_a_recorder_that_has_pinned_the_metric(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None], isolation: str
) -> None:
    """And meanwhile others record, also under the same isolation level."""
    ledger.define("m", "sum")
    recorder, other = new_ledger("recorder", autocommit=False), new_ledger("other", autocommit=False)
    for session in (recorder, other):
        session.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    recorder.record("a", "m", 5)
    definer, retirer = new_ledger("definer"), new_ledger("retirer")
    defining = Task(lambda: definer.define("m", "sum", name="New"))
    retiring = Task(lambda: retirer.call("retire_metric", key="m"))
    for name in ("definer", "retirer"):
        wait_until_blocked(ledger.connection, name)
    assert ledger.record("b", "m", 1).outcome == "recorded"
    other.record("c", "m", 1)
    other.connection.commit()
    pid = recorder.connection.info.backend_pid
    for task in (defining, retiring):
        error = task.error()
        assert error is not None
        assert error.sqlstate == "55P03"
        assert str(pid) in (error.diag.message_detail or "")
        assert "Try again" in (error.diag.message_hint or "")
    # What changes nothing does not wait.
    assert ledger.define("m", "sum").name is None
    recorder.connection.commit()
    assert ledger.define("m", "sum", name="New").name == "New"
    assert ledger.call("retire_metric", key="m")[0].retired_at is not None


def test_a_change_is_made_once_the_recorder_that_has_pinned_the_metric_has_ended(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "sum")
    recorder = new_ledger("recorder", autocommit=False)
    recorder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    recorder.record("a", "m", 5)
    retirer = new_ledger("retirer")
    retiring = Task(lambda: retirer.call("retire_metric", key="m"))
    wait_until_blocked(ledger.connection, "retirer")
    recorder.connection.commit()
    assert retiring.result()[0].retired_at is not None
    assert ledger.verify() == []


def test_two_sessions_may_define_the_same_metric_at_once(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.define("m", "sum")
    defining = Task(lambda: second.define("m", "sum"))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    assert defining.result().aggregate == "sum"
    assert len(ledger.call("catalog")) == 1


def test_a_rollup_that_the_log_cannot_tell_any_more_is_not_asked_for(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=at("2024-01-15 10:30"))
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2024_01")
    with refused("UM002", "rollup"):
        ledger.define("m", "sum", rollup="day")
    assert ledger.usage("a", "m", since=at("2024-01-15"), until=at("2024-01-16")).quantity == 5


def test_a_subject_of_whom_all_is_ahead_of_the_clock_is_found_after_a_changed_rollup(ledger: Ledger) -> None:
    ledger.define("m", "sum", rollup="day", max_future=timedelta(days=80))
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=50)
    ledger.record("a", "m", 1, at=noon + timedelta(hours=3))
    ledger.define("m", "sum", rollup="hour")
    window = {"since": noon, "until": noon + timedelta(hours=6)}
    assert ledger.usage("a", "m", **window).quantity == 1
    assert [row.subject for row in ledger.call("totals", metric="m", **window)] == ["a"]
    assert ledger.verify() == []


def test_a_rollup_can_be_changed_while_a_bucket_is_open_and_in_rollups_as_well(ledger: Ledger) -> None:
    """Such a drift is corrected by the rebuild that follows."""
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    ledger.execute(
        "INSERT INTO meter.rollups (series_id, stripe, bucket, bucket_start, event_count, last_at, total)"
        " SELECT series_id, stripe, bucket, bucket_start, event_count, last_at, total FROM meter.buckets"
    )
    ledger.define("m", "sum", rollup="day")
    assert ledger.verify() == []
    assert ledger.usage("a", "m").quantity == 1

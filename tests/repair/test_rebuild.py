"""P4: rebuild() makes rollups equal the log again, also while others record."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.helpers import AGGREGATES, AT_LENGTH, PERIODS, ROLLUPS, Ledger, Task, at, committed_or, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"


def sql(*statements: str) -> Callable[[Ledger], None]:
    def run(ledger: Ledger) -> None:
        for statement in statements:
            ledger.execute(statement)

    return run


def empty(ledger: Ledger) -> None:
    ledger.forget()
    ledger.execute("TRUNCATE meter.rollups, meter.unique_members")


TAMPER: dict[str, Callable[[Ledger], None]] = {
    "rollups emptied": sql("TRUNCATE meter.rollups"),
    "open buckets emptied": lambda ledger: ledger.execute(
        "UPDATE meter.series SET"
        " fine_count = 0, coarse_count = 0, newest_start = '1970-01-01Z', ahead_at = null,"
        " fine_last_at = '-infinity', coarse_last_at = '-infinity'"
    ),
    "all buckets emptied": lambda ledger: ledger.forget(),
    "members emptied": sql("TRUNCATE meter.unique_members"),
    "both emptied": empty,
    "buckets raised": lambda ledger: ledger.tamper("total = total + 1, event_count = event_count + 1"),
    "count lowered": lambda ledger: ledger.tamper("event_count = event_count - 1", "event_count > 1"),
    "open ones in rollups as well": sql(
        "INSERT INTO meter.rollups (series_id, stripe, bucket, bucket_start, event_count, last_at, total)"
        " SELECT series_id, stripe, bucket, bucket_start, event_count, last_at, total FROM meter.buckets"
        " ON CONFLICT DO NOTHING"
    ),
    "open ones in rollups instead": sql(
        "INSERT INTO meter.rollups (series_id, stripe, bucket, bucket_start, event_count, last_at,"
        " total, lowest, highest, latest)"
        " SELECT series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest,"
        " highest, latest FROM meter.buckets ON CONFLICT DO NOTHING",
        "UPDATE meter.series SET fine_count = 0, coarse_count = 0,"
        " fine_last_at = '-infinity', coarse_last_at = '-infinity'",
    ),
    "an earlier bucket open": lambda ledger: ledger.tamper(
        "bucket_start = bucket_start - interval '1 hour'",
        "bucket = 'hour' AND (series_id, bucket_start) IN (SELECT series_id, fine_start FROM meter.series)",
    ),
    "rollups of nothing": sql(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, event_count, last_at, total)"
        " SELECT DISTINCT 1000, bucket, bucket_start, 1, last_at, 1 FROM meter.buckets ON CONFLICT DO NOTHING"
    ),
    "members of nothing": sql(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest, seen)"
        f" SELECT DISTINCT ON (1, 2, 3) series_id, bucket, bucket_start, {NOBODY}, seen"
        " FROM meter.unique_members"
    ),
    "members not recorded yet": sql(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest, seen)"
        " SELECT DISTINCT ON (1, 2, 3, 4) series_id, bucket, bucket_start, meter._digest(m), seen"
        " FROM meter.unique_members, unnest('{new,ghost,u9}'::text[]) m"
        " ON CONFLICT DO NOTHING"
    ),
    "members without hours": sql("UPDATE meter.unique_members SET seen = seen & ~ seen"),
    "members in every hour": sql("UPDATE meter.unique_members SET seen = seen | ~ seen"),
    "members in other hours": sql("UPDATE meter.unique_members SET seen = ~ seen, added = seen"),
    "members with no bits at all": sql("UPDATE meter.unique_members SET seen = NULL"),
    "a stripe too many": sql(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, stripe, event_count, last_at, total)"
        " SELECT series_id, bucket, bucket_start, 3, event_count, last_at, total"
        " FROM meter.buckets WHERE metric IN ('sum', 'm') AND stripe = 0 ON CONFLICT DO NOTHING"
    ),
    "an open stripe too many": sql(
        "INSERT INTO meter.series SELECT (jsonb_populate_record(s, '{\"stripe\": 3}')).*"
        " FROM meter.series s WHERE metric IN ('sum', 'm') AND stripe = 0 ON CONFLICT DO NOTHING"
    ),
    "half deleted": lambda ledger: (
        ledger.forget("bucket = 'hour'"),
        ledger.execute("UPDATE meter.unique_members SET seen = seen << 1"),
    )[-1],
    "moved in time": lambda ledger: ledger.tamper("bucket_start = bucket_start - interval '1 year'"),
    "moved ahead": lambda ledger: ledger.tamper("bucket_start = bucket_start + interval '1 year'"),
}


def fill(ledger: Ledger, events: int = 60) -> None:
    draw = random.Random(1)
    for aggregate in AGGREGATES:
        if not ledger.rows("SELECT FROM meter.metrics WHERE key = %s", [aggregate]):
            ledger.define(aggregate, aggregate)
    ledger.batch(
        [
            {
                "subject": f"s{i % 3}",
                "metric": metric,
                "at": at("2026-02-27") + timedelta(hours=draw.randrange(100), minutes=draw.randrange(3)),
            }
            | (
                {"member": f"u{draw.randrange(5)}"}
                if metric == "unique"
                else {"quantity": draw.randrange(100)}
            )
            for i in range(events)
            for metric in AGGREGATES
        ]
    )


# Recording fails on it, rather than to count wrongly.
DAYS_FOR_HOURS = {
    "members by day": sql("UPDATE meter.unique_members SET seen = repeat('1', 31)::bit varying")
}


@pytest.mark.parametrize("statement", ["DELETE FROM meter.series", "TRUNCATE meter.series"])
def test_p7_a_series_cannot_be_deleted(ledger: Ledger, statement: str) -> None:
    """Nothing but its row tells whose events are whose, so it could not be rebuilt."""
    fill(ledger)
    before = ledger.state()
    with refused("42501"):
        ledger.execute(statement)
    assert ledger.state() == before


@pytest.mark.parametrize("tamper", [*TAMPER, *DAYS_FOR_HOURS])
def test_p4_a_rebuild_restores_every_number(ledger: Ledger, tamper: str) -> None:
    fill(ledger)
    before = ledger.state()
    (TAMPER | DAYS_FOR_HOURS)[tamper](ledger)
    assert ledger.state() != before
    assert ledger.verify() != []
    # It counts rollups, not members: where only those were wrong, it may say 0.
    assert ledger.rebuild() > 0 or tamper.startswith("members")
    if tamper == "an open stripe too many":
        assert ledger.usage("s1", "sum", period="never").quantity == ledger.brute("s1", "sum")[0]
        ledger.upkeep()  # a stripe without events stays until then
    assert ledger.state() == before
    assert ledger.verify() == []
    assert ledger.rebuild() == 0


def test_p4_a_rebuild_of_what_does_not_drift_writes_nothing(ledger: Ledger) -> None:
    fill(ledger)
    place = "SELECT xmin::text, ctid::text FROM meter."
    places = f"{place}rollups UNION ALL {place}series"
    before = ledger.rows(places)
    assert ledger.rebuild() == 0
    assert ledger.rows(places) == before


def test_p4_a_rebuild_restores_what_is_ahead_of_the_clock_in_a_period_that_is_not_open(
    ledger: Ledger,
) -> None:
    """As on a follower: it has the events, but not that the series has any that are ahead of the clock."""
    ledger.define("m", "sum", max_future=timedelta(days=80))
    ledger.record("a", "m", 1)
    before = ledger.row("SELECT newest_start, ahead_at FROM meter.series")
    ledger.record("a", "m", 1, at=datetime.now(UTC) + timedelta(days=50))
    after = ledger.row("SELECT newest_start, ahead_at FROM meter.series")
    ledger.execute("UPDATE meter.series SET newest_start = %s, ahead_at = %s", list(before))
    ledger.execute("DELETE FROM meter.rollups")
    assert ledger.rebuild() == 2
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    assert ledger.row("SELECT newest_start, ahead_at FROM meter.series") == after


def test_p4_every_period_and_rollup_is_rebuilt(ledger: Ledger) -> None:
    for aggregate in ("last", "unique", "avg"):
        for period in PERIODS:
            for rollup in ROLLUPS:
                key = f"{aggregate} {period} {rollup}"
                ledger.define(key, aggregate, period=period, rollup=rollup)
                ledger.batch(
                    [
                        {
                            "subject": "a",
                            "metric": key,
                            "at": at("2026-02-27 23:59:50") + timedelta(hours=9 * i, seconds=i % 3),
                        }
                        | ({"member": f"u{i % 4}"} if aggregate == "unique" else {"quantity": i})
                        for i in range(20)
                    ]
                )
    before = ledger.state()
    assert ledger.verify() == []
    buckets = ledger.value("SELECT count(*) FROM meter.buckets")
    empty(ledger)
    assert ledger.rebuild() == buckets
    assert ledger.state() == before


def test_p4_more_drifts_than_fit_into_one_batch_are_all_repaired(ledger: Ledger) -> None:
    fill(ledger)
    before = ledger.state()
    ledger.execute("TRUNCATE meter.unique_members")
    ledger.tamper("event_count = event_count + 1", "bucket = 'month'")
    wrong = ledger.value("SELECT count(*) FROM meter.buckets WHERE bucket = 'month'")
    ledger.execute(
        "INSERT INTO meter.rollups (series_id, bucket, bucket_start, event_count, last_at, total)"
        " SELECT 1000 + n, 'hour', '2026-01-01Z', 1, '2026-01-01Z', 1 FROM generate_series(1, 20500) n"
    )
    ledger.execute(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest, seen)"
        f" SELECT 1000 + n, 'month', '2026-01-01Z', {NOBODY}, ~ 0::bit(744)"
        " FROM generate_series(1, 20500) n"
    )
    assert ledger.rebuild() == 20500 + wrong
    assert ledger.state() == before


def test_several_rebuilds_are_one_transaction(ledger: Ledger, new_ledger: NewLedger) -> None:
    fill(ledger)
    before = ledger.state()
    rebuilder = new_ledger("rebuilder", autocommit=False)
    for tamper in ("rollups emptied", "members of nothing", "a stripe too many", "members emptied"):
        TAMPER[tamper](rebuilder)
        rebuilder.rebuild()
        assert rebuilder.verify() == []
    rebuilder.connection.commit()
    assert ledger.state() == before


@pytest.mark.parametrize(
    "scope",
    [{"subject": "s1"}, {"metric": "unique"}, {"metric": "sum"}, {"subject": "s1", "metric": "unique"}],
)
def test_a_rebuild_of_one_subject_or_metric_leaves_the_others_alone(
    ledger: Ledger, scope: dict[str, str]
) -> None:
    fill(ledger)
    ledger.tamper("event_count = event_count + 7")
    ledger.execute("DELETE FROM meter.unique_members")
    assert all(all(getattr(d, k) == v for k, v in scope.items()) for d in ledger.verify(**scope))
    everything = len(ledger.verify())
    drifting = len(ledger.verify(**scope))
    assert ledger.rebuild(**scope) == drifting
    assert ledger.verify(**scope) == []
    assert len(ledger.verify()) == everything - drifting > 0


def test_p8_a_bad_scope_is_refused(ledger: Ledger) -> None:
    for function in ("rebuild", "verify"):
        with refused("UM001", "metric"):
            ledger.call(function, metric="nope")
        with refused("22023", "subject"):
            ledger.call(function, subject=" ")
    assert ledger.rebuild(subject="nobody") == 0
    assert ledger.rebuild() == 0


# ------------------------------------------------------------------------------------- against one writer

RECORDS: dict[str, Callable[[Ledger], Any]] = {
    "record": lambda w: w.record("a", "m", 5, at=at("2026-06-18")),
    "batch": lambda w: w.batch([{"subject": "a", "metric": "m", "quantity": 5, "at": at("2026-06-18")}]),
    "old member": lambda w: w.record("a", "u", member="old", at=at("2026-06-18")),
    "new member": lambda w: w.record("a", "u", member="new", at=at("2026-06-18")),
    "members by batch": lambda w: w.batch(
        [
            {"subject": "a", "metric": "u", "member": m, "at": at("2026-06-18")}
            for m in ("old", "new", "ghost")
        ]
    ),
    "last": lambda w: w.record("a", "l", 5, at=at("2026-06-18")),
}


def met(tamper: str, end: str) -> list[Callable[[Ledger], Any]]:
    """Half of the records: every tampering meets each of them, with one end or the other; at length, both.

    Of neighbours in either list one is committed and the other rolled back, so that each meets both ends.
    """
    first = (list(TAMPER).index(tamper) + (end == "commit")) % 2
    return [record for n, record in enumerate(RECORDS.values()) if AT_LENGTH or n % 2 == first]


@pytest.fixture
def small(ledger: Ledger) -> Ledger:
    ledger.define("m", "sum")
    ledger.define("u", "unique")
    ledger.define("l", "last")
    for i in range(3):
        ledger.record("a", "m", 1, at=at("2026-06-18"))
        ledger.record("a", "u", member="old", at=at("2026-06-18"))
        ledger.record("a", "l", i, at=at("2026-06-18"))
    return ledger


@pytest.mark.at_length
@pytest.mark.parametrize("tamper", TAMPER)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_p4_a_record_in_flight_when_the_rebuild_begins(
    small: Ledger, new_ledger: NewLedger, tamper: str, end: str
) -> None:
    """The writer's event is not in the rebuild's snapshot; its rollup is locked or not there yet."""
    writer, rebuilder = new_ledger("writer", autocommit=False), new_ledger("rebuilder")
    for record in met(tamper, end):
        TAMPER[tamper](small)
        before = small.value("SELECT count(*) FROM meter.events")
        record(writer)
        rebuilding = Task(rebuilder.rebuild)
        wait_for(small, rebuilding, "rebuilder")
        getattr(writer.connection, end)()
        rebuilding.result()
        assert (small.value("SELECT count(*) FROM meter.events") > before) == (end == "commit")
        assert_right(small)


@pytest.mark.at_length
@pytest.mark.parametrize("tamper", TAMPER)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_p4_a_record_that_begins_while_the_rebuild_is_not_committed(
    small: Ledger, new_ledger: NewLedger, tamper: str, end: str
) -> None:
    writer, rebuilder = new_ledger("writer"), new_ledger("rebuilder", autocommit=False)
    for record in met(tamper, end):
        TAMPER[tamper](small)
        rebuilder.rebuild()
        recording = Task(lambda record=record: record(writer))  # type: ignore[misc]
        wait_for(small, recording, "writer")
        getattr(rebuilder.connection, end)()
        recording.result()
        if end == "rollback":
            small.rebuild()
        assert_right(small)


def assert_right(ledger: Ledger) -> None:
    assert ledger.verify() == []
    for metric in ("m", "u", "l"):
        total = ledger.usage("a", metric, period="never")
        assert (total.quantity, total.event_count) == ledger.brute("a", metric)


@pytest.mark.parametrize("how", RECORDS)
def test_p4_a_writer_that_has_written_everything_but_its_rollup(
    small: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    """The writer waits for the rollup row of another; the rebuild begins meanwhile and waits behind both."""
    small.tamper("event_count = event_count + 1")
    small.execute("DELETE FROM meter.unique_members")
    first, writer, rebuilder = (
        new_ledger("first", autocommit=False),
        new_ledger("writer"),
        new_ledger("rebuilder"),
    )
    for record in RECORDS.values():
        record(first)
    recording = Task(lambda: RECORDS[how](writer))
    wait_until_blocked(small.connection, "writer")
    rebuilding = Task(rebuilder.rebuild)
    wait_until_blocked(small.connection, "rebuilder")
    first.connection.commit()
    recording.result()
    rebuilding.result()
    assert small.verify() == []


def wait_for(observer: Ledger, task: Task, name: str) -> None:
    """Until the task has ended or its session waits for a lock: it need not wait in every case."""
    deadline = time.monotonic() + 20
    while task.running and time.monotonic() < deadline:
        if observer.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
            " AND datname = current_database()",
            [name],
        ):
            return
        time.sleep(0.003)


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize(
    "tamper", ["both emptied", "buckets raised", "count lowered", "members of nothing", "rollups of nothing"]
)
def test_p4_a_rebuild_from_an_old_snapshot_is_right_or_fails_with_40001(
    small: Ledger, new_ledger: NewLedger, isolation: str, tamper: str
) -> None:
    rebuilder = new_ledger("rebuilder", autocommit=False)
    for record in RECORDS.values():
        TAMPER[tamper](small)
        rebuilder.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        rebuilder.value("SELECT count(*) FROM meter.metrics")
        record(small)
        with committed_or(rebuilder.connection, "40001"):
            rebuilder.rebuild()
            rebuilder.connection.commit()
            assert small.verify() == []
        small.rebuild()
        assert_right(small)


def test_p4_two_rebuilds_at_once_restore_every_number(
    small: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    empty(small)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.rebuild()
    rebuilding = Task(second.rebuild)
    wait_until_blocked(small.connection, "second")
    first.connection.commit()
    assert rebuilding.result() == 0
    assert small.verify() == []


@pytest.mark.parametrize("round_", range(2))
def test_p4_writers_run_while_rollups_are_broken_and_rebuilt_again_and_again(
    ledger: Ledger, new_ledger: NewLedger, round_: int
) -> None:
    """No event is lost or counted twice, no writer fails, and nobody deadlocks."""
    metrics = {"m": "sum", "u": "unique", "l": "last", "x": "max"}
    for key, aggregate in metrics.items():
        ledger.define(key, aggregate, period="day" if round_ else "month")
    fill(ledger, 20)
    acknowledged: list[int] = []
    stop = threading.Event()

    def event(draw: random.Random) -> dict[str, Any]:
        metric = draw.choice(list(metrics))
        base = {
            "subject": f"s{draw.randrange(3)}",
            "metric": metric,
            "at": at("2026-02-27") + timedelta(hours=draw.randrange(60)),
        }
        if draw.random() < 0.5:
            base["idempotency_key"] = f"k{draw.randrange(100_000)}"
        return base | (
            {"member": f"u{draw.randrange(6)}"} if metric == "u" else {"quantity": draw.randrange(9)}
        )

    def write(seed: int) -> None:
        draw, session = random.Random(seed), new_ledger(f"writer {seed}")
        while not stop.is_set():
            if draw.random() < 0.5:
                outcomes = [session.record(**event(draw))]
            else:
                outcomes = session.batch([event(draw) for _ in range(draw.randrange(1, 20))])
            acknowledged.extend(1 for o in outcomes if o.outcome == "recorded")

    def rebuild(scope: dict[str, str]) -> None:
        session = new_ledger("rebuilder")
        while not stop.is_set():
            session.rebuild(**scope)

    # What is broken is there before anybody writes; TRUNCATE would lock the writers out, so it comes first.
    draw = random.Random(round_)
    draw.choice(list(TAMPER.values()))(ledger)
    ledger.tamper("event_count = event_count + (random() * 3)::int, total = total + 1", "random() < 0.5")
    ledger.execute("DELETE FROM meter.unique_members WHERE random() < 0.5")
    tasks = [Task(lambda seed=seed: write(seed)) for seed in range(3)]  # type: ignore[misc]
    tasks += [Task(lambda: rebuild({})), Task(lambda: rebuild({"subject": "s1"}))]
    time.sleep(1.5)
    stop.set()
    for task in tasks:
        task.result()
    # Every rebuild that began after the tampering has repaired it: nothing is left to do.
    assert ledger.verify() == []
    assert ledger.value(
        "SELECT count(*) FROM meter.logged_events WHERE metric = ANY(%s)", [list(metrics)]
    ) == len(acknowledged)
    counted = sum(
        ledger.usage(f"s{s}", metric, period="never").event_count for s in range(3) for metric in metrics
    )
    assert counted == len(acknowledged) > 100
    for metric in metrics:
        total = ledger.usage("s1", metric, period="never")
        assert (total.quantity, total.event_count) == ledger.brute("s1", metric)


@pytest.mark.parametrize("aggregate", ["sum", "unique"])
def test_a_rebuild_after_a_partition_was_dropped_keeps_what_the_log_no_longer_has(
    ledger: Ledger, aggregate: str
) -> None:
    """Retention: once the events of a month are gone, its rollups are all that is known of it."""
    ledger.define("m", aggregate)
    given: dict[str, Any] = {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    ledger.record("a", "m", at=at("2024-01-15"), **given)
    ledger.record("a", "m", at=at("2026-06-15"), **given)
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2024_01")
    january = ledger.usage("a", "m", period="month", now=at("2024-01-20"))
    assert january.event_count == 1
    ledger.rebuild()
    assert ledger.usage("a", "m", period="month", now=at("2024-01-20")) == january


@pytest.mark.parametrize("how", ["record", "batch"])
def test_a_rebuild_that_has_restored_members_never_deadlocks_with_who_records_them(
    small: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    """It holds the members that it inserted while it goes on to the rollups, of which some are in stripes."""
    small.record("b", "u", member="x", at=at("2026-06-18"))
    small.execute("DELETE FROM meter.unique_members")
    TAMPER["a stripe too many"](small)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    rebuilder = new_ledger("rebuilder")

    def record(subject: str) -> None:
        event = {"subject": subject, "metric": "u", "member": "old", "at": at("2026-06-18")}
        second.batch([event]) if how == "batch" else second.record(**event)

    record("c")  # the rebuild waits for one second, in which this session must not have to compile functions
    first.record("b", "u", member="x", at=at("2026-06-18"))
    rebuilding = Task(rebuilder.rebuild)  # inserts the members of a, and waits for that of b
    wait_until_blocked(small.connection, "rebuilder")
    recording = Task(lambda: record("a"))
    wait_until_blocked(small.connection, "second")
    first.connection.commit()
    assert [rebuilding.error(), recording.error()] == [None, None]
    assert_right(small)

"""maintain(): partitions ahead, strays moved, nothing lost, nobody kept from recording."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, Task, at, committed_or, midnight, refused

PARTITIONS = (
    "SELECT relid::regclass::text AS name FROM pg_partition_tree('meter.events') WHERE isleaf ORDER BY 1"
)


def stray_count(ledger: Ledger) -> int:
    return int(ledger.value("SELECT count(*) FROM meter.events_default"))


def drop_partitions(ledger: Ledger) -> None:
    """As if nobody had run maintain() for months: only the default partition is left."""
    for row in ledger.rows(PARTITIONS):
        if row.name != "meter.events_default":
            ledger.execute(f"DROP TABLE {row.name}")


def month_partition(days: int = 0) -> str:
    return f"meter.events_{midnight(days):%Y_%m}"


def test_it_creates_this_month_and_the_next_three_and_again_does_nothing(ledger: Ledger) -> None:
    drop_partitions(ledger)
    done = ledger.maintain()
    assert [action for action, _ in done] == ["created partition"] * 4
    assert month_partition() in [row.name for row in ledger.rows(PARTITIONS)]
    assert len(ledger.rows(PARTITIONS)) == 5
    assert ledger.maintain() == []


def test_it_moves_strays_into_partitions_of_their_months(ledger: Ledger) -> None:
    ledger.define("m", "last")
    ledger.define("u", "unique")
    for day in ("2024-01-31 23:59:59.999999", "2024-02-01", "2025-12-31", "2026-06-15"):
        ledger.record("a", "m", 1, at=at(day), idempotency_key=day, metadata={"day": day})
        ledger.record("a", "u", at=at(day), member=day)
    before = ledger.state()
    assert stray_count(ledger) == 8
    assert ("moved strays", "8 events") in ledger.maintain()
    assert stray_count(ledger) == 0
    assert ledger.state() == before
    assert ledger.verify() == []
    assert ledger.value("SELECT count(*) FROM meter.events_2024_01") == 2
    assert ledger.maintain() == []
    assert (
        ledger.record("a", "m", 1, at=at("2024-01-31"), idempotency_key="2024-02-01").outcome == "duplicate"
    )


@pytest.mark.parametrize("strays", [False, True])
def test_every_partition_has_the_indexes_of_the_log_and_its_replica_identity(
    ledger: Ledger, strays: bool
) -> None:
    ledger.define("m", "sum")
    for _ in range(2 if strays else 0):
        ledger.record("a", "m", 1, at=at("2024-01-31"))
        ledger.maintain()
        ledger.record("a", "m", 1, at=at("2023-01-31"))
    ledger.maintain()
    rows = ledger.rows(
        """
        SELECT c.relname, c.relreplident,
            ARRAY(SELECT i.inhparent::regclass::text
                  FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid
                  WHERE x.indrelid = c.oid ORDER BY 1) AS attached,
            ARRAY(SELECT x.indexrelid::regclass::text FROM pg_index x WHERE x.indrelid = c.oid) AS indexes
        FROM pg_inherits p JOIN pg_class c ON c.oid = p.inhrelid
        WHERE p.inhparent = 'meter.events'::regclass
        """
    )
    assert len(rows) == 5 + (2 if strays else 0)
    for row in rows:
        assert row.relreplident == "f"
        assert row.attached == ["meter.events_recorded", "meter.events_series"]
        assert len(row.indexes) == 2
        assert all(name.startswith(f"meter.{row.relname}_") for name in row.indexes)


def test_events_of_unknown_months_are_still_accepted_afterwards(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.maintain()
    ledger.record("a", "m", 1, at=at("1970-01-01"))
    assert stray_count(ledger) == 1
    ledger.maintain()
    assert ledger.usage("a", "m", since=at("1970-01-01"), until=at("1970-01-02")).quantity == 1


@pytest.mark.parametrize("strays", [False, True])
def test_p7_every_partition_refuses_update_delete_and_truncate(ledger: Ledger, strays: bool) -> None:
    ledger.define("m", "sum")
    if strays:
        ledger.record("a", "m", 1, at=at("2024-01-31"))
    ledger.maintain()
    ledger.record("a", "m", 1)
    ledger.record("a", "m", 1, at=at("2020-01-31"))
    for table in ["meter.events", *(row.name for row in ledger.rows(PARTITIONS))]:
        for statement in (f"UPDATE {table} SET quantity = 9", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            if stray := ledger.value(f"SELECT count(*) FROM {table}"):
                assert stray
            elif not statement.startswith("TRUNCATE"):
                continue  # row triggers have no row to refuse
            with refused("42501"):
                ledger.execute(statement)
    assert ledger.verify() == []


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_moving_strays_from_an_old_snapshot_loses_nothing(
    ledger: Ledger, new_ledger: Callable[..., Ledger], isolation: str
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2024-01-31"))
    maintainer = new_ledger("maintainer", autocommit=False)
    maintainer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    maintainer.call("catalog")
    ledger.record("a", "m", 2, at=at("2024-01-31"))
    with committed_or(maintainer.connection, "25001"):
        maintainer.maintain()
    assert ledger.value("SELECT count(*) FROM meter.events") == 2
    assert ledger.verify() == []


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_moving_strays_waits_for_a_record_in_flight_and_moves_it_too(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None], isolation: str
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2024-01-31"))
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    maintainer.execute(f"SET default_transaction_isolation = '{isolation}'")
    writer.record("a", "m", 2, at=at("2024-01-31"))
    maintaining = Task(maintainer.maintain)
    if isolation == "read committed":
        wait_until_blocked(ledger.connection, "maintainer")
    writer.connection.commit()
    error = maintaining.error()
    assert ledger.value("SELECT count(*) FROM meter.events") == 2
    assert error is None or error.sqlstate == "25001"
    assert ledger.verify() == []


def test_the_first_run_while_the_first_event_is_in_flight_fails_neither(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    drop_partitions(ledger)
    ledger.define("m", "sum")
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    writer.record("a", "m", 2)
    maintaining = Task(maintainer.maintain)
    wait_until_blocked(ledger.connection, "maintainer")
    writer.connection.commit()
    assert maintaining.error() is None
    ledger.maintain()
    assert stray_count(ledger) == 0
    assert ledger.usage("a", "m").quantity == 2
    assert ledger.verify() == []


@pytest.mark.parametrize("strays", [False, True])
@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM meter.usage('a', 'm', '30 days')",
        "SELECT * FROM meter.events('a')",
        "SELECT * FROM meter.check_quota('a', 'm', 5, period => '30 days')",
    ],
)
def test_a_transaction_that_asks_and_then_records_never_deadlocks_with_it(
    ledger: Ledger,
    new_ledger: Callable[..., Ledger],
    wait_until_blocked: Callable[..., None],
    strays: bool,
    question: str,
) -> None:
    drop_partitions(ledger)
    ledger.define("m", "sum")
    if strays:
        ledger.record("a", "m", 1, at=at("2024-01-31"))
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    writer.rows(question)
    maintaining = Task(maintainer.maintain)
    wait_until_blocked(ledger.connection, "maintainer")
    writer.record("a", "m", 2)
    writer.connection.commit()
    assert maintaining.error() is None
    assert ledger.usage("a", "m").quantity == 2
    assert ledger.verify() == []


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize(
    "question",
    [
        "SELECT event_count FROM meter.usage('a', 'm', NULL, '2024-01-31 10:10Z', '2024-01-31 10:20Z')",
        "SELECT count(*) FROM meter.events('a')",
        "SELECT coalesce(sum(event_count), 0) FROM meter.usage_by('a', 'm', 'x', 'never')",
        "SELECT 5 - count(*) FROM meter.verify()",
        "SELECT 5 - meter.rebuild()",
    ],
)
def test_an_old_snapshot_never_misses_events_that_were_moved(
    ledger: Ledger, new_ledger: Callable[..., Ledger], isolation: str, question: str
) -> None:
    ledger.define("m", "sum")
    for _ in range(5):
        ledger.record("a", "m", 1, at=at("2024-01-31 10:15"))
    reader = new_ledger("reader", autocommit=False)
    reader.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    reader.call("catalog")
    ledger.maintain()
    with committed_or(reader.connection, "40001"):
        assert reader.value(question) == 5
    assert ledger.verify() == []
    assert ledger.usage("a", "m", period="never").quantity == 5


@pytest.mark.parametrize(
    "question",
    [
        "SELECT event_count FROM meter.usage('a', 'm', NULL, '2024-01-31 10:10Z', '2024-01-31 10:20Z')",
        "SELECT count(*) FROM meter.events('a')",
        "SELECT coalesce(sum(event_count), 0) FROM meter.usage_by('a', 'm', 'x', 'never')",
        "SELECT 5 - count(*) FROM meter.verify()",
        "SELECT 5 - meter.rebuild()",
    ],
)
def test_a_question_that_waited_while_events_were_moved_never_misses_them(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None], question: str
) -> None:
    """Its snapshot is from before it waited, at READ COMMITTED too."""
    ledger.define("m", "sum")
    for _ in range(5):
        ledger.record("a", "m", 1, at=at("2024-01-31 10:15"))
    maintainer, reader = new_ledger("maintainer", autocommit=False), new_ledger("reader")
    assert maintainer.maintain()
    asking = Task(lambda: reader.value(question))
    wait_until_blocked(ledger.connection, "reader")
    maintainer.connection.commit()
    error = asking.error()
    assert error.sqlstate == "40001" if error else asking.result() == 5
    assert ledger.verify() == []
    assert ledger.usage("a", "m", period="never").quantity == 5


def test_two_runs_at_once_do_the_work_once(
    ledger: Ledger, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2024-01-31"))
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    assert first.maintain()
    maintaining = Task(second.maintain)
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    assert maintaining.result() == []
    assert ledger.value("SELECT count(*) FROM meter.events") == 1


@pytest.mark.slow
def test_it_gives_up_rather_than_keep_everybody_waiting(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2024-01-31"))
    reader = new_ledger("reader", autocommit=False)
    reader.call("events", subject="a")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        ledger.maintain()
    reader.connection.commit()
    assert ledger.maintain()


def test_p1_nothing_is_lost_and_no_writer_fails_while_strays_are_moved(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum")
    ledger.define("u", "unique")
    stop = threading.Event()
    acknowledged: list[int] = []

    def write(number: int) -> None:
        mine = new_ledger(f"writer {number}")
        i = 0
        while not stop.is_set():
            month = at("2020-01-10") + timedelta(days=31 * (i // 10 % 40))
            if i % 3:
                mine.record(f"s{i % 2}", "m", 1, at=month, idempotency_key=f"{number} {i}")
                acknowledged.append(1)
            else:
                events: list[dict[str, Any]] = [
                    {"subject": f"s{j % 2}", "metric": "m", "quantity": 1, "at": month + timedelta(days=j)}
                    for j in range(5)
                ]
                mine.batch([*events, {"subject": "s0", "metric": "u", "member": f"{i}", "at": month}])
                acknowledged.extend([1] * 5)
            i += 1

    writers = [Task(lambda number=number: write(number)) for number in range(3)]  # type: ignore[misc]
    reader = new_ledger("reader")
    moves = 0
    for _ in range(25):
        time.sleep(0.03)
        moves += bool(ledger.maintain())
        # Asks while partitions come and go.
        assert reader.usage("s0", "m", since=at("2020-01-10 10:10"), until=at("2030-01-01")) is not None
    stop.set()
    for writer in writers:
        writer.result()
    ledger.maintain()
    assert moves > 1
    assert stray_count(ledger) == 0
    total = sum(ledger.usage(s, "m", period="never").quantity for s in ("s0", "s1"))
    assert total == len(acknowledged)
    assert ledger.value("SELECT count(*) FROM meter.logged_events WHERE metric = 'm'") == len(acknowledged)
    assert ledger.verify() == []


@pytest.mark.parametrize(
    ("timezone", "date_style"),
    [
        ("Asia/Kolkata", "SQL, DMY"),
        ("Asia/Shanghai", "Postgres, DMY"),
        ("America/New_York", "SQL, MDY"),
        ("Australia/Sydney", "German"),
        ("Asia/Kathmandu", "SQL, DMY"),
        ("Pacific/Apia", "ISO, YMD"),
    ],
)
def test_partitions_are_months_of_utc_whatever_the_session_settings(
    ledger: Ledger, timezone: str, date_style: str
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2026-02-28 23:59:59"))
    ledger.record("a", "m", 1, at=at("2026-03-01"))
    ledger.execute(f"SET timezone = '{timezone}'")
    ledger.execute(f"SET datestyle = '{date_style}'")
    ledger.maintain()
    ledger.execute("SET timezone = 'UTC'")
    ledger.execute("SET datestyle = 'ISO, YMD'")
    bound = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'meter.events_2026_03'::regclass"
    assert ledger.value(bound) == "FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-04-01 00:00:00+00')"
    assert ledger.value("SELECT count(*) FROM meter.events_2026_02") == 1


def test_maintaining_works_for_a_schema_path_that_shadows_names(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2026-02-28"))
    ledger.execute("CREATE TEMP TABLE events_default (x int); CREATE TEMP TABLE events_2026_02 (x int)")
    ledger.execute("CREATE TEMP TABLE events_strays (x int)")
    ledger.maintain()
    assert ledger.value("SELECT count(*) FROM meter.events_2026_02") == 1
    assert ledger.value("SELECT count(*) FROM meter.events") == 1

"""A log of hundreds of months: by wrong times, or because it is twenty years old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.faults.servers import new_server
from tests.helpers import AT_LENGTH, Ledger, Task, at, at_length

NewLedger = Callable[..., Ledger]

PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'meter.events'::regclass"
# What max_locks_per_transaction is the mean of: a backend has its first 16 weak locks elsewhere.
LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND NOT fastpath"

# Only a backend, not the connections of this test, sees how long it waits.
_WAIT_SECONDS_MAX = 1.0


def record_in_months(ledger: Ledger, months: int, *, each: int = 1) -> None:
    """Events in the first ``months`` months since 1970, as somebody sends them whose clock is wrong."""
    ledger.rows(
        "SELECT count(*) FROM (SELECT meter.record('a', 'm', 1, at => '1970-01-15Z'::timestamptz"
        " + make_interval(months => mod(g, %s))) FROM generate_series(0, %s) g) recorded",
        [months, months * each - 1],
    )


class Recorder:
    """Records all the time, and knows how long the slowest call took."""

    def __init__(self, ledger: Ledger, metric: str = "m") -> None:
        self.worst = 0.0
        self.count = 0
        self._stop = threading.Event()
        self._task = Task(lambda: self._run(ledger, metric))

    def _run(self, ledger: Ledger, metric: str) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            ledger.record("now", metric, 1)
            self.worst = max(self.worst, time.perf_counter() - began)
            self.count += 1

    def stop(self) -> None:
        self._stop.set()
        self._task.result()


@pytest.mark.slow
def test_wrong_times_in_hundreds_of_months_get_few_partitions_and_keep_no_recorder_waiting(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    ledger.define("m", "sum")
    record_in_months(ledger, 650, each=2)
    recorder = Recorder(new_ledger("recorder"))
    ledger.upkeep()
    recorder.stop()
    assert recorder.worst < _WAIT_SECONDS_MAX
    assert ledger.value(PARTITIONS) <= 64
    assert ledger.maintain() == []
    assert ledger.verify() == []
    assert ledger.usage("a", "m", period="never").quantity == 1300
    assert ledger.usage("a", "m", since=at("2010-03-15"), until=at("2010-03-15 00:30")).quantity == 2
    late = datetime.now(UTC) + timedelta(days=3)
    health = ledger.call("health", now=late)[0]
    assert not [problem for problem in health.problems if "default" in problem]
    assert [notice for notice in health.notices if "default" in notice]


def test_one_call_creates_a_bounded_number_of_partitions_and_says_that_there_are_more(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record_in_months(ledger, 40)
    actions = ledger.maintain()
    assert len([action for action, _ in actions if action == "created partition"]) == 24
    assert actions[-1] == ("again", "16 months have no partition yet: run maintain() again")
    actions = ledger.maintain()
    assert len([action for action, _ in actions if action == "created partition"]) == 16
    assert actions[-1] == ("moved strays", "16 events")
    assert ledger.value("SELECT count(*) FROM meter.events_default") == 0
    assert ledger.maintain() == []
    assert ledger.verify() == []


def test_a_month_of_many_events_gets_a_partition_however_many_there_are(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record_in_months(ledger, 100)
    ledger.upkeep()
    assert ledger.value(PARTITIONS) == 64
    parked = ledger.value("SELECT min(at) FROM meter.events_default")
    events = [{"subject": "b", "metric": "m", "quantity": 1, "at": parked}] * 10_000
    ledger.batch(events)
    assert ("moved strays", "10001 events") in ledger.maintain()
    assert ledger.value(PARTITIONS) == 65
    assert ledger.maintain() == []
    assert ledger.verify() == []


@pytest.mark.parametrize("detach", [False, True])
def test_retention_reaches_months_that_have_stayed_in_the_default_partition(
    ledger: Ledger, detach: bool
) -> None:
    ledger.define("m", "sum")
    record_in_months(ledger, 100)
    ledger.record("a", "m", 5)
    ledger.upkeep()
    assert ledger.value("SELECT count(*) FROM meter.events_default") > 0
    for _ in range(2):  # a month that has just got its partition is verified by the next call
        ledger.upkeep(keep="13 months", detach=detach)
    assert ledger.value("SELECT count(*) FROM meter.events") == 1
    assert ledger.value("SELECT count(*) FROM meter.log_months WHERE dropped") == 100
    assert ledger.usage("a", "m", period="never").quantity == 105
    assert ledger.verify() == []
    assert ledger.maintain(keep="13 months") == []


def test_events_that_come_while_strays_are_copied_are_moved_too(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Callable[..., None]
) -> None:
    """The copies are made before the log is locked; the writer is in flight when they are."""
    ledger.define("m", "sum")
    record_in_months(ledger, 90)
    ledger.upkeep()  # from here on some months stay in the default partition
    ledger.record("a", "m", 1, at=datetime.now(UTC) - timedelta(days=200))
    writer, maintainer = new_ledger("writer", autocommit=False), new_ledger("maintainer")
    writer.record("a", "m", 2, at=datetime.now(UTC) - timedelta(days=200))
    writer.record("a", "m", 4, at=at("1977-05-15"))  # stays in the default partition
    maintaining = Task(maintainer.maintain)
    wait_until_blocked(ledger.connection, "maintainer")
    writer.connection.commit()
    assert ("moved strays", "2 events") in maintaining.result()
    assert ledger.value("SELECT count(*) FROM meter.events") == 93
    assert ledger.verify() == []
    assert ledger.maintain() == []


# --------------------------------------------------------------------------------- twenty years of it


# There are 64 locks for each connection that there may be, and for each other process. With fewer of both
# there are as many locks, about a hundred, for each of those that are there.
CONNECTIONS = at_length(22, 100)
FOR_CONNECTIONS = {"max_connections": "120"}
if not AT_LENGTH:
    FOR_CONNECTIONS = {"max_connections": "30", "max_wal_senders": "0"}
    FOR_CONNECTIONS |= {"max_worker_processes": "1", "autovacuum_worker_slots": "1"}


@pytest.fixture
def old_log() -> Iterator[str]:
    """A log of twenty years, a partition a month, on a server with its default of 64 locks a connection."""
    with new_server(None, {"fsync": "off"} | FOR_CONNECTIONS) as server:
        migrate(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            ledger = Ledger(connection)
            ledger.define("m", "sum")
            ledger.define("members", "unique")
            ledger.define("plain", "sum", period="never", rollup="none")
            for year in range(2000, 2020):
                for month in range(1, 13):
                    name = f"events_{year}_{month:02}"
                    since, until = f"{year}-{month:02}-01Z", f"{year + month // 12}-{month % 12 + 1:02}-01Z"
                    ledger.execute(
                        f"CREATE TABLE meter.{name} PARTITION OF meter.events"
                        f" FOR VALUES FROM ('{since}') TO ('{until}')"
                    )
                    ledger.execute("INSERT INTO meter.log_months (month) VALUES (%s)", [since])
            ledger.rows(
                "SELECT count(*) FROM (SELECT meter.record('old', metric, quantity, member,"
                " at => '2000-01-15 10:15Z'::timestamptz + make_interval(months => g))"
                " FROM generate_series(0, 239) g, (VALUES ('m', 1, null), ('plain', 1, null),"
                " ('members', null, 'u')) AS v (metric, quantity, member)) recorded"
            )
        yield server.dsn


@pytest.mark.slow
@pytest.mark.at_length
def test_many_connections_use_a_log_of_twenty_years_with_default_lock_settings(old_log: str) -> None:
    """All of them in transactions that stay open, each asking often enough for a generic plan."""
    with ExitStack() as stack:
        ledgers = [Ledger(stack.enter_context(psycopg.connect(old_log))) for _ in range(CONNECTIONS)]
        for n, ledger in enumerate(ledgers):
            month = at("2000-01-15 10:10") + timedelta(days=6100 // CONNECTIONS * n)
            edge = {"since": month, "until": month + timedelta(days=40, minutes=7)}
            for _ in range(7):
                ledger.usage("old", "m", **edge)
                ledger.usage("old", "members", **edge)
                ledger.usage("old", "plain", **edge)
                ledger.call("check_quota", subject="old", metric="m", quota=5, **edge)
                ledger.call("usage_by", subject="old", metric="m", dimension="x", **edge)
                ledger.call("events", subject="old", max_rows=5)
                ledger.call("events", subject=f"s{n}")
                ledger.record(f"s{n}", "m", 1)
                ledger.record(f"s{n}", "m", 1, at=month)
                ledger.batch([{"subject": f"s{n}", "metric": "members", "member": "u", "at": month}])
            ledger.call("series", subject="old", metric="m", step="month", **edge)
            ledger.call("summary", subject="old", **edge)
            assert ledger.value(LOCKS) < 64
        for ledger in ledgers:
            ledger.connection.commit()
    with psycopg.connect(old_log, autocommit=True) as connection:
        ledger = Ledger(connection)
        assert ledger.usage(f"s{CONNECTIONS // 2}", "m", period="never").quantity == 14
        for _ in range(7):
            assert (
                ledger.usage("old", "plain", since=at("2000-01-01"), until=at("2025-01-01")).quantity == 240
            )
        assert len(ledger.call("events", subject="old", max_rows=1000)) == 720
        assert ledger.verify() == []
        assert ledger.rebuild() == 0
        ledger.maintain()
        assert ledger.call("health")[0].healthy

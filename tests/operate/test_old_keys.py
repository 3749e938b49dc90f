"""P2: maintain() moves older keys to another table; a repeat is recognised whenever it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pymeter import pytest_plugin
from tests.databases import Databases
from tests.helpers import Ledger, Task, as_jsonb, at

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

EVENT = {"subject": "a", "metric": "m", "quantity": 5, "at": at("2026-06-18"), "idempotency_key": "k"}
OUTCOMES: dict[str, Callable[[Ledger], list[Any]]] = {
    "record": lambda ledger: [ledger.record(**EVENT)],
    "batch": lambda ledger: ledger.batch([EVENT]),
    "batch of two": lambda ledger: ledger.batch([EVENT, EVENT]),
    "member": lambda ledger: [ledger.record("a", "u", member="x", at=at("2026-06-18"), idempotency_key="k")],
    "late": lambda ledger: [ledger.record(**EVENT | {"at": at("2026-01-01")})],
}
ONE_SNAPSHOT = [
    ("REPEATABLE READ", "record"),
    ("REPEATABLE READ", "batch"),
    ("REPEATABLE READ", "member"),
    ("SERIALIZABLE", "record"),
]


@pytest.fixture(scope="module")
def old_template(databases: Databases, pymeter_template: str) -> Iterator[str]:
    """The name of a database with two keys among 100,000 others, all of them two days old."""
    name = pytest_plugin._database_name("old_keys")
    with psycopg.connect(databases.create(name, pymeter_template), autocommit=True) as connection:
        ledger = Ledger(connection)
        ledger.define("m", "sum")
        ledger.define("u", "unique")
        ledger.record(**EVENT)
        ledger.record("a", "u", member="x", at=at("2026-06-18"), idempotency_key="k")
        ledger.execute(
            "INSERT INTO meter.keys (event_id, at, digest) SELECT 0, now(), gen_random_uuid()"
            " FROM generate_series(1, 100000)"
        )
        ledger.maintain()
        age(ledger)
    yield name
    databases.drop(name)


@pytest.fixture
def meter_dsn(databases: Databases, pymeter_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A copy of it for a test that wants ``old``, else an empty meter as always."""
    wanted = "old" in request.fixturenames
    name = pytest_plugin._database_name("old_keys_copy")
    yield databases.create(name, request.getfixturevalue("old_template") if wanted else pymeter_template)
    databases.drop(name)


@pytest.fixture
def old(ledger: Ledger) -> Ledger:
    """A meter with two keys among 100,000 others, all of them two days old."""
    return ledger


def age(ledger: Ledger) -> None:
    ledger.execute("UPDATE meter.key_marks SET noted_at = noted_at - interval '49 hours'")


def counts(ledger: Ledger) -> list[int]:
    return [ledger.value(f"SELECT count(*) FROM meter.{table}") for table in ("keys", "old_keys", "events")]


def assert_counted_once(ledger: Ledger, how: str, outcomes: list[Any]) -> None:
    assert {row.outcome for row in outcomes} == {"duplicate"}
    assert {row.event_id for row in outcomes} == {2 if how == "member" else 1}
    assert ledger.value("SELECT count(*) FROM meter.events") == 2
    assert sum(counts(ledger)[:2]) == 100_002
    assert ledger.verify() == []


def test_keys_of_two_days_ago_are_moved_and_later_ones_stay(old: Ledger) -> None:
    old.record(**EVENT | {"idempotency_key": "later"})
    assert old.maintain() == [("moved keys", "100002 keys")]
    assert counts(old) == [1, 100_002, 3]
    assert old.maintain() == []
    assert old.record(**EVENT | {"idempotency_key": "later"}).outcome == "duplicate"


def test_few_keys_stay_where_they_are(old: Ledger) -> None:
    old.execute(
        "DELETE FROM meter.keys WHERE digest IN (SELECT digest FROM meter.keys WHERE event_id = 0 LIMIT 9)"
    )
    assert old.maintain() == []
    assert counts(old)[1] == 0


def test_keys_that_are_not_two_days_old_stay(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record(**EVENT)
    ledger.execute(
        "INSERT INTO meter.keys (event_id, at, digest) SELECT 0, now(), gen_random_uuid()"
        " FROM generate_series(1, 100000)"
    )
    ledger.maintain()
    assert ledger.maintain() == []
    assert counts(ledger)[:2] == [100_001, 0]


@pytest.mark.parametrize("how", OUTCOMES)
def test_a_repeat_of_a_key_that_was_moved_counts_nothing(old: Ledger, how: str) -> None:
    old.maintain()
    assert_counted_once(old, how, OUTCOMES[how](old))
    assert old.record(**EVENT | {"quantity": 6}).outcome == "conflict"
    assert [row.outcome for row in old.batch([EVENT | {"quantity": 6}])] == ["conflict"]
    assert [row.outcome for row in old.call("known_events", events=as_jsonb([EVENT]))] == ["duplicate"]
    assert counts(old) == [0, 100_002, 2]


@pytest.mark.parametrize("how", OUTCOMES)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_repeat_while_its_key_is_moved_waits_and_counts_nothing(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, end: str
) -> None:
    maintainer, writer = new_ledger("maintainer", autocommit=False), new_ledger("writer")
    assert maintainer.maintain()
    recording = Task(lambda: OUTCOMES[how](writer))
    wait_until_blocked(old.connection, "writer")
    getattr(maintainer.connection, end)()
    assert_counted_once(old, how, recording.result())


def test_new_keys_do_not_wait_while_others_are_moved(old: Ledger, new_ledger: NewLedger) -> None:
    maintainer, writer = new_ledger("maintainer", autocommit=False), new_ledger("writer")
    writer.execute("SET statement_timeout = '10s'")
    assert maintainer.maintain()
    assert writer.record(**EVENT | {"idempotency_key": "new"}).outcome == "recorded"
    assert writer.batch([EVENT | {"idempotency_key": "new 2"}])[0].outcome == "recorded"
    maintainer.connection.commit()
    assert counts(old) == [2, 100_002, 4]


@pytest.mark.parametrize(("isolation", "how"), ONE_SNAPSHOT)
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_repeat_from_an_old_snapshot_fails_with_40001_or_counts_nothing(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, isolation: str, how: str, when: str
) -> None:
    maintainer, writer = new_ledger("maintainer", autocommit=False), new_ledger("writer", autocommit=False)
    writer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    writer.rows("SELECT FROM meter.keys LIMIT 1")
    assert maintainer.maintain()
    if when == "before":
        maintainer.connection.commit()
    recording = Task(lambda: OUTCOMES[how](writer))
    if when == "during":
        wait_until_blocked(old.connection, "writer")
        maintainer.connection.commit()
    error = recording.error()
    assert error is not None
    assert error.sqlstate == "40001"
    writer.connection.rollback()
    assert_counted_once(old, how, OUTCOMES[how](writer))


@pytest.mark.parametrize(("isolation", "how"), ONE_SNAPSHOT)
def test_a_transaction_with_one_snapshot_that_has_recorded_keeps_keys_from_being_moved(
    old: Ledger, new_ledger: NewLedger, isolation: str, how: str
) -> None:
    """Its next call would not notice: it already holds all locks that would tell it of another table."""
    writer = new_ledger("writer", autocommit=False)
    writer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    writer.record("b", "m", 1, idempotency_key="another")
    assert dict(old.maintain()).keys() == {"postponed keys"}
    assert {row.outcome for row in OUTCOMES[how](writer)} == {"duplicate"}
    writer.connection.commit()
    assert dict(old.maintain()).keys() == {"moved keys"}
    assert old.value("SELECT count(*) FROM meter.events") == 3
    assert old.verify() == []


def test_many_keys_are_moved_in_several_calls(old: Ledger) -> None:
    old.execute(
        "INSERT INTO meter.keys (event_id, at, digest) SELECT 0, now(), gen_random_uuid()"
        " FROM generate_series(1, 1000000)"
    )
    assert old.maintain() == [
        ("moved keys", "1000000 keys"),
        ("again", "keys are left to move: run maintain() again"),
    ]
    assert old.maintain() == [("moved keys", "100002 keys")]
    assert old.record(**EVENT).outcome == "duplicate"


def test_a_batch_whose_repeated_key_is_moved_while_it_records_is_told_duplicate(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """It has found the key where it was; the key is moved before the batch reads whose it is."""
    blocker, writer = new_ledger("blocker", autocommit=False), new_ledger("writer")
    blocker.execute("LOCK TABLE meter.rollups IN EXCLUSIVE MODE")
    late = EVENT | {"at": at("2026-05-01"), "idempotency_key": "late"}
    recording = Task(lambda: writer.batch([EVENT, EVENT | {"quantity": 6}, late]))
    wait_until_blocked(old.connection, "writer")
    assert dict(old.maintain()).keys() == {"moved keys"}
    blocker.connection.rollback()
    outcomes = [(row.outcome, row.event_id) for row in recording.result()]
    assert outcomes[:2] == [("duplicate", 1), ("conflict", 1)]
    assert outcomes[2][0] == "recorded"
    assert old.verify() == []

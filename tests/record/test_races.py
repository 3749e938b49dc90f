"""Races of writers, made by construction: one holds a lock, the other is seen to wait, then it goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, Task, at

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]
EVENT = {"subject": "a", "metric": "m", "quantity": 5, "at": at("2026-06-18"), "idempotency_key": "k"}


def through(ledger: Ledger, how: str, event: dict[str, Any]) -> Any:
    return ledger.batch([event])[0] if how == "batch" else ledger.record(**event)


@pytest.mark.parametrize("second_how", ["record", "batch"])
@pytest.mark.parametrize("first_how", ["record", "batch"])
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_p2_the_same_key_from_two_sessions_counts_once(
    ledger: Ledger,
    new_ledger: NewLedger,
    wait_until_blocked: Wait,
    first_how: str,
    second_how: str,
    isolation: str,
    end: str,
) -> None:
    ledger.define("m", "sum")
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    second.execute(f"SET default_transaction_isolation = '{isolation}'")
    owner = through(first, first_how, EVENT)
    repeating = Task(lambda: through(second, second_how, EVENT))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    if end == "rollback":
        assert repeating.result().outcome == "recorded"
    elif isolation == "READ COMMITTED":
        assert (repeating.result().outcome, repeating.result().event_id) == ("duplicate", owner.event_id)
    else:
        assert repeating.error().sqlstate == "40001"  # type: ignore[union-attr]
        assert through(second, second_how, EVENT).outcome == "duplicate"
    assert ledger.usage("a", "m", period="never").quantity == 5
    assert ledger.value("SELECT count(*) FROM meter.events") == 1
    assert ledger.verify() == []


def test_p2_a_conflict_with_an_uncommitted_event_is_told_after_it_commits(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    ledger.define("m", "sum")
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.record(**EVENT)
    other = [EVENT | {"quantity": 6}, EVENT | {"idempotency_key": "new"}, EVENT]
    recording = Task(lambda: second.batch(other))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    assert [o.outcome for o in recording.result()] == ["conflict", "recorded", "duplicate"]
    assert ledger.usage("a", "m", period="never").quantity == 10
    assert ledger.verify() == []


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("aggregate", ["sum", "last", "unique", "avg", "max"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_p1_two_first_events_of_one_bucket_both_count(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, aggregate: str, end: str
) -> None:
    """The rollup row and the member do not exist yet: both sessions want to insert them."""
    ledger.define("m", aggregate)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    event: dict[str, Any] = {"subject": "a", "metric": "m", "at": at("2026-06-18")}
    event |= {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    through(first, how, event)
    recording = Task(lambda: through(second, how, event))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    recording.result()
    total = ledger.usage("a", "m", period="never")
    events = 2 if end == "commit" else 1
    assert total.event_count == events
    assert total.quantity == {"sum": 5 * events, "unique": 1}.get(aggregate, 5)
    assert ledger.verify() == []


def test_writers_of_different_subjects_wait_for_nobody(ledger: Ledger, new_ledger: NewLedger) -> None:
    for metric in ("m", "m2"):
        ledger.define(metric, "sum")
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.record(**EVENT)
    second.execute("SET lock_timeout = '2s'")
    second.record(**(EVENT | {"subject": "b"}))
    second.record(**(EVENT | {"metric": "m2"}))
    second.batch([EVENT | {"subject": "c"}])
    assert second.usage("a", "m", period="never").quantity == 0  # and readers neither


@pytest.mark.parametrize("how", ["record", "batch"])
def test_p2_two_batches_with_the_same_keys_in_opposite_orders_wait_and_never_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    ledger.define("m", "sum")
    ledger.define("u", "unique")
    events = [
        {"subject": s, "metric": m, "idempotency_key": k, "at": at("2026-06-18")}
        | ({"quantity": 1} if m == "m" else {"member": k})
        for s in ("a", "b")
        for m in ("m", "u")
        for k in ("1", "2", "3")
    ]
    blocker = new_ledger("blocker", autocommit=False)
    through(blocker, how, events[5])
    sessions = [new_ledger(f"batch {i}") for i in range(2)]
    tasks = [Task(lambda: sessions[0].batch(events)), Task(lambda: sessions[1].batch(events[::-1]))]
    for i in range(2):
        wait_until_blocked(ledger.connection, f"batch {i}")
    blocker.connection.rollback()
    outcomes = Counter(o.outcome for task in tasks for o in task.result())
    assert outcomes == {"recorded": 12, "duplicate": 12}
    assert ledger.verify() == []


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_p2_writers_never_deadlock_whatever_keys_and_orders_they_use(
    ledger: Ledger, new_ledger: NewLedger, isolation: str
) -> None:
    ledger.define("m", "sum", period="day")
    ledger.define("u", "unique")
    ledger.define("l", "last", period="minute", rollup="day")
    pool = [
        {"subject": s, "metric": m, "at": at(f"2026-0{1 + i % 3}-0{1 + i % 7} {i % 24:02}:00")}
        | ({"member": f"u{i % 7}"} if m == "u" else {"quantity": i})
        | ({"idempotency_key": f"k{i}"} if i % 4 else {})
        for i in range(12)
        for s in ("é", "e", "z")
        for m in ("u", "m", "l")
    ]
    counted: list[Any] = []

    def write(seed: int) -> int:
        draw, session, failures = random.Random(seed), new_ledger(f"writer {seed}"), 0
        session.execute(f"SET default_transaction_isolation = '{isolation}'")
        for turn in range(120):
            events = [
                event | {"idempotency_key": f"{event['idempotency_key']} {turn // 4}"}
                if "idempotency_key" in event
                else event
                for event in draw.sample(pool, draw.randrange(1, 40))
            ]
            if draw.random() < 0.1:
                events += events[:5]
            try:
                if draw.random() < 0.3:
                    answers = [(events[0], session.record(**events[0]))]
                else:
                    answers = list(zip(events, session.batch(events), strict=True))
            except psycopg.errors.SerializationFailure:
                failures += 1
                continue
            counted.extend(event for event, answer in answers if answer.outcome == "recorded")
        return failures

    failures = sum(task.result() for task in [Task(lambda seed=seed: write(seed)) for seed in range(5)])  # type: ignore[misc]
    if isolation == "read committed":
        assert failures == 0
    assert ledger.verify() == []
    assert ledger.value("SELECT count(*) FROM meter.events") == len(counted)
    for subject in ("é", "e", "z"):
        mine = [e for e in counted if e["subject"] == subject and e["metric"] == "m"]
        assert ledger.usage(subject, "m", period="never").quantity == sum(e["quantity"] for e in mine)


# ---------------------------------------------------------------------------------- snapshots that are old


@pytest.fixture(params=["REPEATABLE READ", "SERIALIZABLE"])
def old(request: pytest.FixtureRequest, ledger: Ledger, new_ledger: NewLedger) -> Callable[[], Ledger]:
    """A session whose transaction has taken its snapshot when this is called."""

    def begin() -> Ledger:
        session = new_ledger("old", autocommit=False)
        session.execute(f"SET TRANSACTION ISOLATION LEVEL {request.param}")
        session.call("catalog")
        return session

    return begin


def attempt(session: Ledger, how: str, event: dict[str, Any]) -> str:
    """The outcome, committed, or the SQLSTATE, rolled back."""
    try:
        outcome = str(through(session, how, event).outcome)
        session.connection.commit()
        return outcome
    except psycopg.Error as error:
        session.connection.rollback()
        return str(error.sqlstate)


@pytest.mark.parametrize("how", ["record", "batch"])
def test_p2_an_old_snapshot_never_counts_a_key_again(
    ledger: Ledger, old: Callable[[], Ledger], how: str
) -> None:
    ledger.define("m", "sum")
    session = old()
    ledger.record(**EVENT)
    assert attempt(session, how, EVENT) == "40001"
    assert ledger.usage("a", "m", period="never").quantity == 5


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("there_before", [False, True])
@pytest.mark.parametrize("aggregate", ["sum", "last", "unique", "min"])
def test_p1_an_old_snapshot_never_overwrites_a_rollup(
    ledger: Ledger, old: Callable[[], Ledger], how: str, there_before: bool, aggregate: str
) -> None:
    ledger.define("m", aggregate)
    event: dict[str, Any] = {"subject": "a", "metric": "m", "at": at("2026-06-18")}
    event |= {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    if there_before:
        ledger.record(**event)
    session = old()
    ledger.record(**event)
    # Another member of the same bucket, or the same one.
    assert attempt(session, how, event) in ("40001", "recorded")
    assert ledger.verify() == []
    again = old()
    assert attempt(again, how, event) == "recorded"
    total = ledger.usage("a", "m", period="never")
    assert (total.quantity, total.event_count) == ledger.brute("a", "m")
    assert ledger.verify() == []


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize(
    "change",
    [
        "SELECT meter.define_metric('m', 'max', 'unit')",
        "SELECT meter.define_metric('m', 'sum', 'unit', rollup => 'day')",
        "SELECT meter.define_metric('m', 'sum', 'unit', period => 'day')",
        "SELECT meter.retire_metric('m')",
    ],
)
def test_an_old_snapshot_never_records_by_an_old_definition(
    ledger: Ledger, old: Callable[[], Ledger], how: str, change: str
) -> None:
    ledger.define("m", "sum")
    session = old()
    isolation = session.value("SHOW transaction_isolation")
    session.connection.rollback()  # it holds no lock on the catalog now
    session.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    session.value("SELECT 1")
    ledger.execute(change)
    assert attempt(session, how, EVENT) in ("40001", "UM002")
    assert ledger.verify() == []
    assert ledger.value("SELECT count(*) FROM meter.events") == 0


@pytest.mark.parametrize("how", ["record", "batch"])
def test_an_old_snapshot_that_touches_nothing_changed_just_records(
    ledger: Ledger, old: Callable[[], Ledger], how: str
) -> None:
    ledger.define("m", "sum")
    session = old()
    ledger.record(**(EVENT | {"subject": "b"}))
    assert attempt(session, how, EVENT) == "recorded"
    assert ledger.verify() == []


def test_of_serializable_writers_who_check_first_one_is_told_to_try_again(
    ledger: Ledger, old: Callable[[], Ledger]
) -> None:
    """Write skew: both see 0 used under another subject's name, both record; at most one may commit as is."""
    ledger.define("m", "sum")
    first, second = old(), old()
    if first.value("SHOW transaction_isolation") != "serializable":
        pytest.skip("repeatable read allows write skew")
    for session, other, mine in ((first, "a", "b"), (second, "b", "a")):
        assert session.usage(other, "m", period="never").quantity == 0
        session.record(mine, "m", 5)
    outcomes = []
    for session in (first, second):
        try:
            session.connection.commit()
            outcomes.append("committed")
        except psycopg.Error as error:
            session.connection.rollback()
            outcomes.append(error.sqlstate)
    assert outcomes == ["committed", "40001"]

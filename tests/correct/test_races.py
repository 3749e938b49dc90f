"""Races of corrections with each other and with all else, made by construction: nothing is lost or double."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.correct.histories import Author, Life, define
from tests.correct.model import Row, of_rows
from tests.helpers import AGGREGATES, EACH_KIND, Ledger, Task, at, covering, same_quantity

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

HOUR = at("2026-06-18 10:00")
ENDS = pytest.mark.parametrize("end", ["commit", "rollback"])


def payload(aggregate: str, n: int) -> dict[str, Any]:
    return {"member": f"u{n}"} if aggregate == "unique" else {"quantity": n}


def prepare(ledger: Ledger, aggregate: str, numbers: Sequence[int], *, closed: bool, **named: Any) -> None:
    """Events of one bucket with the keys k0, k1, ...; closed: a later bucket is open."""
    ledger.define("m", aggregate, **named)
    for number, n in enumerate(numbers):
        record(ledger, aggregate, n, number)
    if closed:
        ledger.record("a", "m", at=HOUR + timedelta(days=40), **payload(aggregate, 1))


def record(ledger: Ledger, aggregate: str, n: int, number: int, how: str = "record") -> Any:
    event = {
        "subject": "a",
        "metric": "m",
        "at": HOUR + timedelta(minutes=number),
        "idempotency_key": f"k{number}",
        **payload(aggregate, n),
    }
    return ledger.batch([event])[0] if how == "batch" else ledger.record(**event)


def void(ledger: Ledger, number: int = 0, **named: Any) -> Any:
    given = {"idempotency_key": f"k{number}", **named}
    return ledger.call("void_event", subject="a", metric="m", reason="why", **given)[0]


def amend(ledger: Ledger, number: int = 0, **named: Any) -> Any:
    given = {"idempotency_key": f"k{number}", **named}
    return ledger.call("amend_event", subject="a", metric="m", reason="why", **given)[0]


def expected(aggregate: str, numbers: Sequence[int]) -> Any:
    """The quantity of events with these numbers, in the order of their times."""
    rows = [
        Row("a", "m", HOUR + timedelta(minutes=i), **payload(aggregate, n))
        if aggregate == "unique"
        else Row("a", "m", HOUR + timedelta(minutes=i), quantity=n)  # type: ignore[arg-type]
        for i, n in enumerate(numbers)
    ]
    return of_rows(aggregate, rows)


def assert_counted(ledger: Ledger, aggregate: str, numbers: Sequence[int]) -> None:
    """In the hour, and in the month, which comes from the rollups of both levels."""
    assert ledger.verify() == []
    for window in (
        {"since": HOUR, "until": HOUR + timedelta(hours=1)},
        {"since": HOUR.replace(day=1, hour=0), "until": HOUR.replace(month=7, day=1, hour=0)},
    ):
        used = ledger.usage("a", "m", **window)
        want = expected(aggregate, numbers)
        assert used.event_count == want[1], used
        assert same_quantity(aggregate, used.quantity, want), (used, want)


# ------------------------------------------------------------------------------ corrections of one event


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "by", "end"), covering(2, EACH_KIND, ["key", "id"], ["commit", "rollback"])
)
def test_of_two_voids_of_one_event_one_is_applied(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, aggregate: str, by: str, end: str
) -> None:
    prepare(ledger, aggregate, [3, 2], closed=False)
    event = ledger.call("events", subject="a", metric="m")[-1].event_id
    named = {"idempotency_key": None, "event_id": event} if by == "id" else {}
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    assert void(first, **named).outcome == "applied"
    voiding = Task(lambda: void(second, **named))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    assert voiding.result().outcome == ("duplicate" if end == "commit" else "applied")
    assert_counted(ledger, aggregate, [2])


@ENDS
@pytest.mark.parametrize("by", ["key", "id"])
def test_an_amend_that_waits_for_a_void_is_a_conflict(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, by: str, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=False)
    event = ledger.call("events", subject="a", metric="m")[-1].event_id
    named = {"idempotency_key": None, "event_id": event} if by == "id" else {}
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    void(first, **named)
    amending = Task(lambda: amend(second, quantity=9, **named))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    assert amending.result().outcome == ("conflict" if end == "commit" else "applied")
    assert_counted(ledger, "sum", [2] if end == "commit" else [9, 2])


@ENDS
@pytest.mark.parametrize("by", ["key", "id"])
def test_a_void_that_waits_for_an_amend(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, by: str, end: str
) -> None:
    """The id is that of an event that counts no more; the key names the event that replaced it."""
    prepare(ledger, "sum", [3, 2], closed=False)
    event = ledger.call("events", subject="a", metric="m")[-1].event_id
    named = {"idempotency_key": None, "event_id": event} if by == "id" else {}
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    amend(first, quantity=9, **named)
    voiding = Task(lambda: void(second, **named))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    told = voiding.result()
    assert told.outcome == ("duplicate" if (by, end) == ("id", "commit") else "applied")
    assert_counted(ledger, "sum", [9, 2] if told.outcome == "duplicate" else [2])


@ENDS
def test_of_two_amends_the_second_replaces_what_the_first_has_made(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=False)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    amend(first, quantity=9)
    amending = Task(lambda: amend(second, quantity=8))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    assert amending.result().outcome == "applied"
    assert_counted(ledger, "sum", [8, 2])


@ENDS
@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("again", ["original", "amended", "another"])
def test_an_amend_against_a_retry_of_its_key(
    ledger: Ledger, new_ledger: NewLedger, how: str, again: str, end: str
) -> None:
    """While the amend is not committed, a retry counts nothing, whatever its outcome."""
    prepare(ledger, "sum", [3, 2], closed=False)
    n = {"original": 3, "amended": 9, "another": 4}[again]
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    amend(first, quantity=9)
    retrying = Task(lambda: record(second, "sum", n, 0, how))
    wait_for(ledger, retrying, "second")
    getattr(first.connection, end)()
    told = retrying.result().outcome
    assert (
        told
        in {"original": ["duplicate"], "amended": ["conflict", "duplicate"], "another": ["conflict"]}[again]
    )
    known = again == "original" or (again == "amended" and end == "commit")
    assert record(second, "sum", n, 0, how).outcome == ("duplicate" if known else "conflict")
    assert_counted(ledger, "sum", [9 if end == "commit" else 3, 2])


@ENDS
def test_of_two_adjustments_with_one_key_one_counts(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3], closed=False)
    given = {
        "subject": "a",
        "metric": "m",
        "quantity": -1,
        "at": HOUR,
        "reason": "why",
        "idempotency_key": "credit",
    }
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    assert first.call("adjust", **given)[0].outcome == "applied"
    adjusting = Task(lambda: second.call("adjust", **given)[0])
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    assert adjusting.result().outcome == ("duplicate" if end == "commit" else "applied")
    used = ledger.usage("a", "m", period="never")
    assert (used.quantity, used.event_count) == (2, 1)
    assert ledger.verify() == []


def wait_for(observer: Ledger, task: Task, name: str) -> None:
    """Until it waits for a lock or has ended: not everything has to wait."""
    while task.running and not observer.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        " AND datname = current_database()",
        [name],
    ):
        time.sleep(0.002)


# --------------------------------------------------------------------------------- corrections and events

# What is there, what comes; the first one is voided.
NUMBERS = {"a lower one": ([5, 2], 1), "a higher one": ([5, 2], 9), "the same": ([5, 2], 5)}
# The number makes a difference where events do not add up.
_DIFFERENT = [
    (aggregate, case, closed)
    for aggregate in EACH_KIND
    for case in (["a lower one"] if aggregate in ("sum", "count", "avg") else NUMBERS)
    for closed in (False, True)
]
BUCKET_RACES = [
    (*case, "batch" if (number + number // 2) % 2 else "record", "commit")
    for number, case in enumerate(_DIFFERENT)
] + [(aggregate, "a higher one", True, "record", "rollback") for aggregate in EACH_KIND]


@pytest.mark.at_length
@pytest.mark.parametrize(("aggregate", "case", "closed", "how", "end"), BUCKET_RACES)
def test_a_void_that_waits_for_a_recorder_of_its_bucket(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, case: str, how: str, closed: bool, end: str
) -> None:
    """Of unique, the recorder has read the member that the void is about to take away."""
    numbers, n = NUMBERS[case]
    prepare(ledger, aggregate, numbers, closed=closed)
    writer, voider = new_ledger("writer", autocommit=False), new_ledger("voider")
    record(writer, aggregate, n, 2, how)
    voiding = Task(lambda: void(voider))
    wait_for(ledger, voiding, "voider")
    getattr(writer.connection, end)()
    assert voiding.result().outcome == "applied"
    assert_counted(ledger, aggregate, [*numbers[1:], *([n] if end == "commit" else [])])


@pytest.mark.at_length
@pytest.mark.parametrize(("aggregate", "case", "closed", "how", "end"), BUCKET_RACES)
def test_a_recorder_that_waits_for_a_void_in_its_bucket(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, case: str, how: str, closed: bool, end: str
) -> None:
    numbers, n = NUMBERS[case]
    prepare(ledger, aggregate, numbers, closed=closed)
    writer, voider = new_ledger("writer"), new_ledger("voider", autocommit=False)
    void(voider)
    recording = Task(lambda: record(writer, aggregate, n, 2, how))
    wait_for(ledger, recording, "writer")
    getattr(voider.connection, end)()
    assert recording.result().outcome == "recorded"
    assert_counted(ledger, aggregate, [*(numbers[1:] if end == "commit" else numbers), n])


@ENDS
@pytest.mark.parametrize("aggregate", ["sum", "max", "last", "unique"])
def test_a_void_against_a_recorder_of_another_stripe(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, end: str
) -> None:
    """The event may be in the stripe of one, the void in that of another."""
    prepare(ledger, aggregate, [5, 2], closed=False, striped=True)
    writer, voider = new_ledger("writer", autocommit=False), new_ledger("voider")
    record(writer, aggregate, 4, 2)
    voiding = Task(lambda: void(voider))
    wait_for(ledger, voiding, "voider")
    getattr(writer.connection, end)()
    assert voiding.result().outcome == "applied"
    assert_counted(ledger, aggregate, [2, *([4] if end == "commit" else [])])


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_a_recorder_of_a_member_beside_the_last_event_of_it_that_is_voided(
    ledger: Ledger, new_ledger: NewLedger, how: str, striped: bool
) -> None:
    """The recorder has the known member's row not locked; the void must not take the member away."""
    ledger.define("m", "unique", striped=striped)
    for number in range(6):
        record(ledger, "unique", number, number)
    writer, voider = new_ledger("writer", autocommit=False), new_ledger("voider")
    for number in range(6):
        record(writer, "unique", number, 10 + number, how)
        voiding = Task(lambda number=number: void(voider, number))  # type: ignore[misc]
        wait_for(ledger, voiding, "voider")
        writer.connection.commit()
        assert voiding.result().outcome == "applied"
    assert_counted(ledger, "unique", range(6))
    for number in range(6):
        void(voider, 10 + number)
    assert_counted(ledger, "unique", [])


@pytest.mark.parametrize("how", ["record", "batch"])
def test_a_recorder_of_a_limited_member_beside_a_void_of_another(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    """Both lock the row of the series first, and its members then; whoever comes first goes first."""
    ledger.define("m", "unique")
    ledger.call("set_limit", metric="m", quota=1000)
    record(ledger, "unique", 1, 1)
    record(ledger, "unique", 2, 2)
    other, writer, voider = new_ledger("other", autocommit=False), new_ledger("writer"), new_ledger("voider")
    other.execute("SELECT FROM meter.series WHERE metric = 'm' FOR UPDATE")
    recording = Task(lambda: record(writer, "unique", 3, 3, how))
    wait_until_blocked(ledger.connection, "writer")
    voiding = Task(lambda: void(voider, 1))
    wait_until_blocked(ledger.connection, "voider")
    other.connection.commit()
    assert (recording.result().outcome, voiding.result().outcome) == ("recorded", "applied")
    assert ledger.verify() == []
    assert ledger.usage("a", "m", period="never").quantity == 2


def test_a_correction_that_is_not_committed_does_not_stop_other_series(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate)
        for subject in ("a", "b"):
            ledger.record(subject, aggregate, at=HOUR, idempotency_key="k", **payload(aggregate, 1))
    corrector, writer = new_ledger("corrector", autocommit=False), new_ledger("writer")
    writer.execute("SET lock_timeout = '3s'")
    for aggregate in AGGREGATES:
        given = {"subject": "a", "metric": aggregate, "idempotency_key": "k", "reason": "why"}
        assert corrector.call("void_event", **given)[0].outcome == "applied"
    for aggregate in AGGREGATES:
        for subject in ("b", "c"):  # c is new
            event = {"subject": subject, "metric": aggregate, "at": HOUR, **payload(aggregate, 2)}
            assert writer.record(**event).outcome == "recorded"
            assert writer.batch([event])[0].outcome == "recorded"
        given = {"subject": "b", "metric": aggregate, "idempotency_key": "k", "reason": "why"}
        assert writer.call("void_event", **given)[0].outcome == "applied"
    corrector.connection.commit()
    assert ledger.verify() == []


# -------------------------------------------------------------------------------------- reviewed corrections


def opened(ledger: Ledger, *entries: dict[str, Any]) -> int:
    number = ledger.value("SELECT meter.open_correction('why')")
    whose = {"subject": "a", "metric": "m"}
    ledger.call("stage_correction", id=number, entries=Jsonb([{**whose, **entry} for entry in entries]))
    assert isinstance(number, int)
    return number


VOID = {"entry": "void", "idempotency_key": "k0"}


@ENDS
def test_a_correction_that_two_approve_is_applied_once(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=True)
    number = opened(ledger, VOID, {"entry": "adjust", "quantity": 10, "at": HOUR.isoformat()})
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.call("approve_correction", id=number)
    approving = Task(lambda: second.call("approve_correction", id=number))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    error = approving.error()
    assert error is None or (end == "commit" and error.sqlstate == "22023")
    used = ledger.usage("a", "m", since=HOUR, until=HOUR + timedelta(hours=1))
    assert (used.quantity, used.event_count) == (12, 1)
    assert ledger.verify() == []


@ENDS
def test_of_two_corrections_of_one_event_one_applies(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "max", [3, 2], closed=True)
    numbers = [opened(ledger, VOID), opened(ledger, VOID)]
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.call("approve_correction", id=numbers[0])
    approving = Task(lambda: second.call("approve_correction", id=numbers[1]))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    approving.result()
    (entry,) = ledger.call("correction_entries", id=numbers[1])
    assert entry.outcome == ("duplicate" if end == "commit" else "applied")
    assert_counted(ledger, "max", [2])


@ENDS
def test_a_correction_that_is_rejected_while_another_approves_it(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=True)
    number = opened(ledger, VOID)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.call("approve_correction", id=number)
    rejecting = Task(lambda: second.call("reject_correction", id=number, reason="no"))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    error = rejecting.error()
    assert (error.sqlstate if error else None) == ("22023" if end == "commit" else None)
    assert_counted(ledger, "sum", [2] if end == "commit" else [3, 2])


@ENDS
def test_entries_that_are_staged_while_another_approves(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=True)
    number = opened(ledger, VOID)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.call("approve_correction", id=number)
    more = [{"entry": "adjust", "subject": "a", "metric": "m", "quantity": 1}]
    staging = Task(lambda: second.call("stage_correction", id=number, entries=Jsonb(more)))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    error = staging.error()
    assert (error.sqlstate if error else None) == ("22023" if end == "commit" else None)
    assert len(ledger.call("correction_entries", id=number)) == (1 if end == "commit" else 2)


@ENDS
def test_entries_that_are_staged_but_not_committed_are_in_what_is_approved_or_nowhere(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=True)
    number = opened(ledger, VOID)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    more = [{"entry": "void", "subject": "a", "metric": "m", "idempotency_key": "k1"}]
    first.call("stage_correction", id=number, entries=Jsonb(more))
    approving = Task(lambda: second.call("approve_correction", id=number))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    approving.result()
    assert_counted(ledger, "sum", [] if end == "commit" else [2])
    assert {row.outcome for row in ledger.call("correction_entries", id=number)} == {"applied"}


@ENDS
def test_of_two_reverts_one_is_done(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "last", [3, 2], closed=True)
    number = void(ledger, 1).correction_id
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.call("revert_correction", id=number, reason="no")
    reverting = Task(lambda: second.call("revert_correction", id=number, reason="no"))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    error = reverting.error()
    assert (error.sqlstate if error else None) == ("22023" if end == "commit" else None)
    assert_counted(ledger, "last", [3, 2])


@ENDS
def test_a_revert_that_waits_for_a_later_correction_of_its_event(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    prepare(ledger, "sum", [3, 2], closed=True)
    number = amend(ledger, quantity=9).correction_id
    later, reverter = new_ledger("later", autocommit=False), new_ledger("reverter")
    void(later)  # of the event that replaced it
    reverting = Task(lambda: reverter.call("revert_correction", id=number, reason="no"))
    wait_until_blocked(ledger.connection, "reverter")
    getattr(later.connection, end)()
    error = reverting.error()
    assert (error.sqlstate if error else None) == ("22023" if end == "commit" else None)
    assert_counted(ledger, "sum", [2] if end == "commit" else [3, 2])


@ENDS
@pytest.mark.parametrize("by", ["key", "id"])
def test_a_void_that_waits_for_a_revert_of_what_made_its_event(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, by: str, end: str
) -> None:
    """Of an amend: its new event is gone, and the key names the original again."""
    prepare(ledger, "sum", [3, 2], closed=True)
    amended = amend(ledger, quantity=9)
    named = {"idempotency_key": None, "event_id": amended.event_id} if by == "id" else {}
    reverter, later = new_ledger("reverter", autocommit=False), new_ledger("later")
    reverter.call("revert_correction", id=amended.correction_id, reason="no")
    voiding = Task(lambda: void(later, **named))
    wait_until_blocked(ledger.connection, "later")
    getattr(reverter.connection, end)()
    told = voiding.result().outcome
    assert told == ("duplicate" if (by, end) == ("id", "commit") else "applied")
    assert_counted(ledger, "sum", [3, 2] if told == "duplicate" else [2])


# -------------------------------------------------------------------------------------------------- upkeep


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "first", "way"),
    covering(2, EACH_KIND, ["void", "rebuild"], [(False, "commit"), (False, "rollback"), (True, "commit")]),
)
def test_a_void_against_a_rebuild(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, first: str, way: tuple[bool, str]
) -> None:
    striped, end = way
    prepare(ledger, aggregate, [5, 2], closed=True, striped=striped)
    ledger.maintain()  # the months have their partitions
    if aggregate == "unique":
        ledger.execute("UPDATE meter.unique_members SET seen = seen | meter._seen_bit('hour', %s)", [HOUR])
        ledger.execute("DELETE FROM meter.unique_members WHERE ctid = '(0,1)'")
    else:
        ledger.tamper("total = total + 1, highest = highest + 1, lowest = lowest - 1")
        ledger.tamper("event_count = event_count + 1")
    sessions = {"void": void, "rebuild": lambda session: session.rebuild()}
    second = "rebuild" if first == "void" else "void"
    one, other = new_ledger("one", autocommit=False), new_ledger("other")
    sessions[first](one)
    task = Task(lambda: sessions[second](other))
    wait_for(ledger, task, "other")
    getattr(one.connection, end)()
    task.result()
    ledger.rebuild()
    assert_counted(ledger, aggregate, [5, 2] if (first, end) == ("void", "rollback") else [2])


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "first", "end"),
    covering(2, EACH_KIND, ["void", "maintain"], ["commit", "rollback"]),
)
def test_a_void_against_a_merge_of_stripes(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, first: str, end: str
) -> None:
    other = new_ledger("other")
    prepare(ledger, aggregate, [5, 2], closed=False, striped=True)
    record(other, aggregate, 4, 2)
    ledger.maintain()  # the months have their partitions
    assert ledger.value("SELECT count(*) FROM meter.series WHERE stripe > 0") > 0
    sessions = {"void": void, "maintain": lambda session: session.maintain()}
    second = "maintain" if first == "void" else "void"
    one = new_ledger("one", autocommit=False)
    sessions[first](one)
    task = Task(lambda: sessions[second](other))
    wait_for(ledger, task, "other")
    getattr(one.connection, end)()
    task.result()
    numbers = [5, 2, 4] if (first, end) == ("void", "rollback") else [2, 4]
    assert_counted(ledger, aggregate, numbers)
    ledger.upkeep()
    assert_counted(ledger, aggregate, numbers)


@ENDS
@pytest.mark.parametrize("aggregate", ["sum", "max", "unique"])
def test_a_void_while_retention_drops_its_month(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, aggregate: str, end: str
) -> None:
    ledger.define("m", aggregate)
    for number, n in enumerate((5, 2)):
        moment = at("2024-01-15 10:00") + timedelta(minutes=number)
        ledger.record("a", "m", at=moment, idempotency_key=f"k{number}", **payload(aggregate, n))
    ledger.maintain()
    before = ledger.usage("a", "m", period="never")
    maintainer, voider = new_ledger("maintainer", autocommit=False), new_ledger("voider")
    assert "dropped partition" in dict(maintainer.maintain(keep="13 months"))
    voiding = Task(lambda: void(voider))
    wait_until_blocked(ledger.connection, "voider")
    getattr(maintainer.connection, end)()
    error = voiding.error()
    assert (error.sqlstate if error else None) == ("UM006" if end == "commit" else None)
    used = ledger.usage("a", "m", period="never")
    assert (used == before) == (end == "commit")
    assert ledger.verify() == []
    assert ledger.value("SELECT count(*) FROM meter.event_kinds") == (0 if end == "commit" else 1)


@ENDS
@pytest.mark.parametrize("aggregate", ["sum", "max", "unique"])
def test_retention_while_an_event_of_the_month_is_voided(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, end: str
) -> None:
    """The month is dropped with the void, or postponed; what it leaves is what counts."""
    ledger.define("m", aggregate)
    for number, n in enumerate((5, 2)):
        moment = at("2024-01-15 10:00") + timedelta(minutes=number)
        ledger.record("a", "m", at=moment, idempotency_key=f"k{number}", **payload(aggregate, n))
    ledger.maintain()
    maintainer, voider = new_ledger("maintainer"), new_ledger("voider", autocommit=False)
    void(voider)
    maintaining = Task(lambda: maintainer.maintain(keep="13 months"))
    wait_for(ledger, maintaining, "maintainer")
    getattr(voider.connection, end)()
    maintaining.result()
    ledger.upkeep(keep="13 months")
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    assert ledger.value("SELECT count(*) FROM meter.event_kinds") == 0
    used = ledger.usage("a", "m", period="never")
    want = expected(aggregate, [2] if end == "commit" else [5, 2])
    assert (used.quantity, used.event_count) == want
    assert ledger.verify() == []


# Each waits for the log, and then has to find the events where they are now.
IN_THE_LOG: dict[str, Callable[[Ledger, int, int], Any]] = {
    "by key": lambda session, event, number: void(session),
    "by id": lambda session, event, number: void(session, idempotency_key=None, event_id=event),
    "amend": lambda session, event, number: amend(session, quantity=9),
    "amend by id": lambda session, event, number: amend(
        session, idempotency_key=None, event_id=event, quantity=9
    ),
    "stage by id": lambda session, event, number: opened(session, {"entry": "void", "event_id": event}),
    "stage a window": lambda session, event, number: opened(
        session,
        {"entry": "void", "since": HOUR.isoformat(), "until": (HOUR + timedelta(hours=1)).isoformat()},
    ),
    "preview": lambda session, event, number: session.call("preview_correction", id=number),
    "approve": lambda session, event, number: session.call("approve_correction", id=number),
}


@pytest.mark.parametrize("aggregate", ["sum", "max"])
@pytest.mark.parametrize("what", IN_THE_LOG)
def test_events_that_maintain_moves_meanwhile_are_found(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, what: str, aggregate: str
) -> None:
    prepare(ledger, aggregate, [5, 2], closed=True)
    event = ledger.call("events", subject="a", metric="m")[-1].event_id
    number = opened(ledger, VOID)
    maintainer, session = new_ledger("maintainer", autocommit=False), new_ledger("session")
    assert "moved strays" in dict(maintainer.maintain())
    task = Task(lambda: IN_THE_LOG[what](session, event, number))
    wait_until_blocked(ledger.connection, "session")
    maintainer.connection.commit()
    error = task.error()
    if what == "preview" and error is not None:
        assert error.sqlstate == "40001"
        assert session.call("preview_correction", id=number)[0].before == (7 if aggregate == "sum" else 5)
        return
    assert error is None
    if what == "stage a window":
        assert len(ledger.call("correction_entries", id=task.result())) == 2
    elif what.startswith("stage"):
        ledger.call("approve_correction", id=task.result())
    left = {"preview": [5, 2], "stage a window": [5, 2], "amend": [9, 2], "amend by id": [9, 2]}
    assert_counted(ledger, aggregate, left.get(what, [2]))


# --------------------------------------------------------------------------------------------- all at once


class Shared(Life):
    """Others write for the same subjects: what is told about quantities is not this model's alone."""

    alone = False


@pytest.mark.slow
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_eight_sessions_of_events_and_corrections_leave_what_the_models_say(
    ledger: Ledger, new_ledger: NewLedger, striped: bool
) -> None:
    """Each corrects its own events, in series that all of them share, beside maintain() and rebuild()."""
    define(ledger, striped=striped)
    lives = [Shared([new_ledger(f"session {n}")], "all", random.Random(100 * striped + n)) for n in range(8)]
    authors = [Author(life.draw, name=f"s{n}-", number=1000 * n) for n, life in enumerate(lives)]
    stop = threading.Event()

    def keep_up(session: Ledger) -> None:
        turns = 0
        while not stop.wait(0.2):
            turns += 1
            try:
                session.rebuild() if turns % 3 == 0 else session.maintain()
            except psycopg.errors.LockNotAvailable:
                continue

    upkeep = Task(lambda: keep_up(new_ledger("upkeep")))
    tasks = [
        Task(lambda life=life, author=author: life.live(author.history(40)))  # type: ignore[misc]
        for life, author in zip(lives, authors, strict=True)
    ]
    try:
        for task in tasks:
            task.result()
    finally:
        stop.set()
        upkeep.result()
    together = Life([ledger], "all", random.Random(0))
    for life in lives:
        together.model.rows |= life.model.rows
        together.ids |= life.ids
    together.assert_equals_model()
    assert ledger.verify() == []
    assert ledger.rebuild() == 0

"""Races of reservations with each other, and with all that changes limits, by construction."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import AT_LENGTH, Ledger, Task, at_length, covering

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

QUOTA = 100


def hold_of(ledger: Ledger, subject: str) -> int:
    return int(
        ledger.value("SELECT min(reservation_id) FROM meter.reservations WHERE subject = %s", [subject])
    )


def request(subject: str, quantity: int, metric: str = "m", **more: Any) -> dict[str, Any]:
    return {"subject": subject, "metric": metric, "quantity": quantity, **more}


def reserve(ledger: Ledger, subject: str, quantity: int, **more: Any) -> Any:
    return ledger.call("reserve", **request(subject, quantity, **more))[0]


def set_limit(ledger: Ledger, subject: str, quota: int = 70) -> Any:
    return ledger.call("set_limit", metric="m", quota=quota, subject=subject)[0]


def outcome(row: Any) -> Any:
    return getattr(row, "outcome", None) or getattr(row, "quota", None)


# What each does to a subject that has used 20 and holds 60 of 100.
OPERATIONS: dict[str, Callable[[Ledger, str], Any]] = {
    "reserve": lambda ledger, s: outcome(reserve(ledger, s, 30)),
    "reserve what fits": lambda ledger, s: outcome(reserve(ledger, s, 20)),
    "reserve_batch": lambda ledger, s: [
        r.outcome
        for r in ledger.call(
            "reserve_batch", requests=Jsonb([request(s, 10), request(s, 40, metric="n"), request(s, 20)])
        )
    ],
    "settle": lambda ledger, s: outcome(
        ledger.call("settle", reservation_id=hold_of(ledger, s), quantity=50)[0]
    ),
    "settle otherwise": lambda ledger, s: outcome(
        ledger.call("settle", reservation_id=hold_of(ledger, s), quantity=90)[0]
    ),
    "release": lambda ledger, s: outcome(ledger.call("release", reservation_id=hold_of(ledger, s))[0]),
    "extend": lambda ledger, s: outcome(ledger.call("extend", reservation_id=hold_of(ledger, s))[0]),
    "record": lambda ledger, s: outcome(ledger.record(s, "m", 30)),
    "record what fits": lambda ledger, s: outcome(ledger.record(s, "m", 15)),
    "record_batch": lambda ledger, s: [
        o.outcome for o in ledger.batch([request(s, 15), request(s, 15), request(s, 1, metric="n")])
    ],
    "set_limit": lambda ledger, s: outcome(set_limit(ledger, s)),
    "maintain": lambda ledger, s: None if ledger.maintain() is None else "done",
    "rebuild": lambda ledger, s: None if ledger.rebuild(subject=s) is None else "done",
}


def prepare(ledger: Ledger, subject: str, expired: bool, noted: bool) -> None:
    ledger.record(subject, "m", 20)
    assert reserve(ledger, subject, 60).outcome == "held"
    if noted:
        ledger.record(subject, "m", 0)
    if expired:
        ledger.execute(
            "UPDATE meter.reservations SET expires_at = clock_timestamp() WHERE subject = %s", [subject]
        )
        ledger.execute("UPDATE meter.series SET unchecked_until = '-infinity'")


def define(ledger: Ledger) -> None:
    for metric in "mn":
        ledger.define(metric, "sum")
        ledger.call("set_limit", metric=metric, quota=QUOTA)
    ledger.maintain()
    ledger.maintain()


def wait_until_blocked_or_done(observer: Ledger, name: str, task: Task) -> bool:
    """Whether it waits for a lock."""
    deadline = time.monotonic() + 20
    while task.running and time.monotonic() < deadline:
        if observer.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = %s AND wait_event_type = 'Lock' AND datname = current_database()",
            [name],
        ):
            return True
        time.sleep(0.002)
    return False


def beyond(ledger: Ledger, subject: str) -> Any:
    """What is used and held beyond the quota, from the log and the reservations alone, in one snapshot."""
    return ledger.row(
        "SELECT coalesce((SELECT sum(quantity) FROM meter.logged_events e"
        " WHERE e.subject = %(s)s AND e.metric = 'm'), 0) AS used,"
        " coalesce((SELECT sum(held) FROM meter.reservations r WHERE r.subject = %(s)s AND r.metric = 'm'"
        " AND r.state = 'held' AND r.expires_at > clock_timestamp()), 0) AS held",
        {"s": subject},  # type: ignore[arg-type]
    )


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("end", "expired"),
    [("commit", False), ("commit", True), ("rollback", False), *[("rollback", True)] * AT_LENGTH],
)
@pytest.mark.parametrize("first", sorted(OPERATIONS))
def test_p11_every_pair_ends_as_if_one_had_come_after_the_other(
    ledger: Ledger, new_ledger: NewLedger, first: str, end: str, expired: bool
) -> None:
    """The second waits for the first, and then ends as after it; or it does not, and ends as without it.

    Every pair is committed, holding or expired, and half of them are rolled back; at length each of all ways.
    """
    define(ledger)
    half = sorted(OPERATIONS).index(first) + expired + (end == "commit")
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    for number, second in enumerate(sorted(OPERATIONS)):
        if not AT_LENGTH and (number + half) % 2:
            continue
        noted = number // 2 % 2 == 0
        serial, alone, raced = f"serial {number}", f"alone {number}", f"raced {number}"
        for subject in (serial, alone, raced):
            prepare(ledger, subject, expired, noted)
        OPERATIONS[first](ledger, serial)
        after_first, without = OPERATIONS[second](ledger, serial), OPERATIONS[second](ledger, alone)
        if expired and "maintain" in (first, second):
            prepare(ledger, f"again {number}", expired, noted)  # something to do for it, once more
        OPERATIONS[first](one, raced)
        task = Task(lambda s=second, r=raced: OPERATIONS[s](two, r))  # type: ignore[misc]
        waited = wait_until_blocked_or_done(ledger, "two", task)
        getattr(one.connection, end)()
        if end == "commit" and waited:
            assert task.result() == after_first, second
        elif not waited:
            assert task.result() in (without, after_first), second
        else:
            assert task.result() == without, second
        found = beyond(ledger, raced)
        settled_otherwise = "settle otherwise" in (first, second)
        late = expired and ("settle" in (first, second) or settled_otherwise)
        if "set_limit" not in (first, second) and not settled_otherwise and not late:
            assert found.used + found.held <= QUOTA, second
        status = ledger.call("check_quota", subject=raced, metric="m")[0]
        assert (status.used, status.held) == (found.used, found.held), second
        assert (status.remaining, status.overrun) == (
            max(status.quota - found.used - found.held, 0),
            max(found.used + found.held - status.quota, 0),
        ), second
    assert ledger.verify() == []


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("isolation", "known", "second", "first"),
    covering(
        2,
        ["repeatable read", "serializable"],
        ["new", "known", "known, and no plain sum"],
        ["reserve", "record", "record_batch", "reserve_batch"],
        ["reserve", "reserve_batch", "record", "extend", "release", "settle"],
    ),
)
def test_p11_a_transaction_with_an_older_snapshot_does_not_decide_by_it(
    ledger: Ledger, new_ledger: NewLedger, isolation: str, known: str, first: str, second: str
) -> None:
    if known == "known, and no plain sum":
        ledger.define("m", "sum", period="hour", rollup="day")
        ledger.call("set_limit", metric="m", quota=QUOTA)
    else:
        define(ledger)
    if known != "new":
        ledger.record("a", "m", 0)
    held = reserve(ledger, "a", 60)
    old = new_ledger("old", autocommit=False)
    old.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    old.rows("SELECT count(*) FROM meter.series")
    if first == "reserve":
        reserve(ledger, "a", 40)
    elif first == "reserve_batch":
        ledger.call("reserve_batch", requests=Jsonb([request("a", 40)]))
    elif first == "record":
        ledger.record("a", "m", 40)
    else:
        more = {"quantity": 60} if first == "settle" else {}
        ledger.call(first, reservation_id=held.reservation_id, **more)
    try:
        if second == "reserve":
            reserve(old, "a", 30)
        elif second == "reserve_batch":
            old.call("reserve_batch", requests=Jsonb([request("a", 30)]))
        elif second == "record":
            old.record("a", "m", 30)
        else:
            old.batch([request("a", 30)])
        old.connection.commit()
    except psycopg.errors.SerializationFailure:
        old.connection.rollback()
    else:
        pytest.fail("it decided by an older snapshot")
    assert sum(beyond(ledger, "a")) <= QUOTA


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("how", "end", "isolation"),
    covering(
        2,
        ["reserve", "reserve_batch", "record"],
        ["commit", "rollback"],
        ["read committed", "repeatable read", "serializable"],
    ),
)
def test_p2_a_repeat_waits_for_the_first_and_is_then_a_duplicate_or_the_first(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, isolation: str, end: str, how: str
) -> None:
    define(ledger)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    second.execute(f"SET default_transaction_isolation = '{isolation}'")
    held = reserve(first, "a", 60, idempotency_key="k")

    def repeat() -> Any:
        if how == "reserve":
            return reserve(second, "a", 60, idempotency_key="k")
        if how == "record":
            return second.record("a", "m", 60, idempotency_key="k")
        requests = Jsonb([request("a", 60, idempotency_key="k")])
        return second.call("reserve_batch", requests=requests)[0]

    task = Task(repeat)
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    if end == "rollback":
        assert task.result().outcome == ("recorded" if how == "record" else "held")
    elif isolation == "read committed":
        assert task.result().outcome == ("conflict" if how == "record" else "duplicate")
        assert how == "record" or task.result().reservation_id == held.reservation_id
    else:
        assert getattr(task.error(), "sqlstate", None) == "40001"
    assert sum(beyond(ledger, "a")) == 60


def test_p11_the_first_limit_of_a_metric_waits_for_a_reservation_and_then_counts_it(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    ledger.define("m", "sum")
    first, admin = new_ledger("first", autocommit=False), new_ledger("admin")
    reserve(first, "a", 60)
    changing = Task(lambda: admin.call("set_limit", metric="m", quota=QUOTA))
    wait_until_blocked(ledger.connection, "admin")
    first.connection.commit()
    changing.result()
    assert ledger.record("a", "m", 41).outcome == "refused"
    assert ledger.record("a", "m", 40).outcome == "recorded"


@pytest.mark.parametrize("how", ["reserve", "reserve_batch"])
def test_p11_a_reservation_waits_for_the_first_limit_of_its_metric_and_meets_it(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    ledger.define("m", "sum")
    admin, writer = new_ledger("admin", autocommit=False), new_ledger("writer")
    admin.call("set_limit", metric="m", quota=QUOTA)
    reserving = Task(
        lambda: (
            reserve(writer, "a", 101)
            if how == "reserve"
            else writer.call("reserve_batch", requests=Jsonb([request("a", 101)]))[0]
        )
    )
    wait_until_blocked(ledger.connection, "writer")
    admin.connection.commit()
    assert reserving.result().outcome == "refused"


@pytest.mark.parametrize("known", [False, True])
def test_p11_of_an_unlimited_metric_a_hold_in_flight_is_counted_by_the_first_limit(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, known: bool
) -> None:
    """Where the series is there, its row is locked, and the limit does not wait; recorders do."""
    ledger.define("m", "sum")
    if known:
        ledger.record("a", "m", 0)
    first, writer, admin = new_ledger("first", autocommit=False), new_ledger("writer"), new_ledger("admin")
    reserve(first, "a", 60)
    changing = Task(lambda: admin.call("set_limit", metric="m", quota=QUOTA))
    if known:
        changing.result()
        recording = Task(lambda: writer.record("a", "m", 41))
        wait_until_blocked(ledger.connection, "writer")
        first.connection.commit()
        assert recording.result().outcome == "refused"
    else:
        wait_until_blocked(ledger.connection, "admin")
        first.connection.commit()
        changing.result()
        assert ledger.record("a", "m", 41).outcome == "refused"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("first", ["reserve", "record"])
def test_p11_the_first_reservation_of_a_subject_and_its_first_event_wait_for_each_other(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, first: str, known: bool
) -> None:
    define(ledger)
    if known:
        ledger.record("a", "n", 1)
    operations: dict[str, Callable[[Ledger], Any]] = {
        "reserve": lambda session: reserve(session, "a", 60),
        "record": lambda session: session.record("a", "m", 60),
    }
    other = "record" if first == "reserve" else "reserve"
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    assert operations[first](one).outcome in ("held", "recorded")
    task = Task(lambda: operations[other](two))
    wait_until_blocked(ledger.connection, "two")
    one.connection.commit()
    assert task.result().outcome == "refused"


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("first", "known", "limited", "how"),
    covering(
        3,
        ["extend", "settle"],
        [False, True],
        [True, False],
        ["reserve", "record", "record_batch", "reserve_batch", "maintain"],
    ),
)
def test_p11_a_hold_that_is_being_extended_or_settled_when_it_expires_is_not_given_away(
    ledger: Ledger,
    new_ledger: NewLedger,
    wait_until_blocked: Wait,
    how: str,
    limited: bool,
    known: bool,
    first: str,
) -> None:
    """What is committed says that it has expired: whoever decides has to wait for what is under way."""
    if limited:
        define(ledger)
    else:
        ledger.define("m", "sum")
    if known:
        ledger.record("a", "m", 0)
    held = reserve(ledger, "a", 60, ttl="300 milliseconds")
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    more = {"quantity": 60} if first == "settle" else {}
    answer = one.call(first, reservation_id=held.reservation_id, **more)[0]
    assert answer.outcome == ("recorded" if first == "settle" else "held")
    ledger.execute("SELECT pg_sleep(0.35)")
    if how == "maintain":
        assert ledger.maintain() is not None
        one.connection.commit()
        assert ledger.call("notifications", type="reservation.expired") == []
        assert sum(beyond(ledger, "a")) == 60
        return

    def decide() -> Any:
        if not limited:
            two.call("set_limit", metric="m", quota=QUOTA)
        if how.endswith("batch"):
            named = {"events" if how == "record_batch" else "requests": Jsonb([request("a", 41)])}
            return two.call(how, **named)[0]
        return two.record("a", "m", 41) if how == "record" else reserve(two, "a", 41)

    deciding = Task(decide)
    wait_until_blocked(ledger.connection, "two")
    one.connection.commit()
    assert deciding.result().outcome == "refused"
    assert sum(beyond(ledger, "a")) == 60


def test_maintain_neither_waits_for_a_settlement_nor_is_waited_for_long(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    define(ledger)
    for subject in "ab":
        prepare(ledger, subject, expired=True, noted=True)
    settling = new_ledger("settling", autocommit=False)
    settling.call("settle", reservation_id=hold_of(ledger, "a"), quantity=50)
    assert ("expired reservations", "1") in ledger.maintain()
    settling.connection.commit()
    assert ledger.maintain() == []
    states = {r.subject: (r.state, r.is_late) for r in ledger.call("reservations")}
    assert states == {"a": ("settled", True), "b": ("expired", False)}
    assert [n.subject for n in ledger.call("notifications", type="reservation.expired")] == ["b"]


def test_batches_in_opposite_orders_do_not_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    define(ledger)
    requests = [
        request(s, 1, metric=m, idempotency_key=f"{s}{m}") for s in ("a", "b", "new") for m in ("m", "n")
    ]
    for subject in "ab":
        for metric in "mn":
            ledger.record(subject, metric, 0)
    blocker = new_ledger("blocker", autocommit=False)
    blocker.execute("SELECT FROM meter.series WHERE subject = 'b' AND metric = 'm' FOR UPDATE")
    unkeyed = [r | {"idempotency_key": None} for r in requests]
    sessions = [new_ledger(f"batch {n}") for n in range(4)]
    tasks = [
        Task(lambda: sessions[0].call("reserve_batch", requests=Jsonb(requests))),
        Task(lambda: sessions[1].call("reserve_batch", requests=Jsonb(requests[::-1]))),
        Task(lambda: sessions[2].call("reserve_batch", requests=Jsonb(unkeyed[3:] + unkeyed[:3]))),
        Task(lambda: sessions[3].batch(unkeyed[::-1])),
    ]
    for n in range(4):
        wait_until_blocked(ledger.connection, f"batch {n}")
    blocker.connection.rollback()
    outcomes = sorted(o.outcome for task in tasks for o in task.result())
    assert outcomes == ["duplicate"] * 6 + ["held"] * 12 + ["recorded"] * 6
    assert ledger.verify() == []


@pytest.mark.at_length
def test_a_settlement_and_expiry_race_again_and_again_counted_once_freed_once(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    """While the hold ends by the clock, two settle it, one releases it, one takes the room, one tidies."""
    ledger.define("m", "sum")
    ledger.call("set_limit", metric="m", quota=QUOTA, marks=[])
    sessions = [new_ledger(f"session {n}") for n in range(5)]
    draw = random.Random(7)
    seen = set()
    for turn in range(at_length(100, 1000)):  # each way they can end is met within fifty
        subject = f"s{turn % 20}"
        if turn < 20:
            ledger.record(subject, "m", 0)
        before = ledger.usage(subject, "m").quantity
        quota = before + QUOTA
        ledger.call("set_limit", metric="m", quota=quota, subject=subject, marks=[])
        held = reserve(ledger, subject, QUOTA, ttl="4 milliseconds")
        barrier = threading.Barrier(5)
        number = held.reservation_id

        def at_once(work: Callable[[], Any], wait: float, barrier: threading.Barrier = barrier) -> Task:
            def run() -> Any:
                barrier.wait()
                time.sleep(wait)
                return work()

            return Task(run)

        waits = [draw.uniform(0, 0.006) for _ in range(5)]
        settle = {"reservation_id": number, "quantity": QUOTA}
        tasks = [
            at_once(lambda s=settle: sessions[0].call("settle", **s)[0].outcome, waits[0]),  # type: ignore[misc]
            at_once(lambda s=settle: sessions[1].call("settle", **s)[0].outcome, waits[1]),  # type: ignore[misc]
            at_once(lambda s=subject: sessions[2].record(s, "m", QUOTA).outcome, waits[2]),  # type: ignore[misc]
            at_once(
                lambda n=number: sessions[3].call("release", reservation_id=n)[0].outcome,  # type: ignore[misc]
                waits[3] if turn % 2 else 0.02,
            ),
            at_once(lambda: sessions[4].maintain() and None, waits[4] if turn % 5 == 0 else 0.0),
        ]
        outcomes = [task.result() for task in tasks]
        assert sorted(outcomes[:2]) == ["duplicate", "recorded"]
        row = ledger.row("SELECT * FROM meter.reservations WHERE reservation_id = %s", [number])
        recorded = outcomes[2] == "recorded"
        assert (row.state, row.settled_quantity) == ("settled", QUOTA)
        assert not recorded or row.is_late, "the room was given away twice"
        status = ledger.call("check_quota", subject=subject, metric="m")[0]
        assert status.used == before + QUOTA * (1 + recorded)
        assert (status.held, status.overrun) == (0, QUOTA * recorded)
        seen.add((recorded, row.is_late, outcomes[3]))
    assert len(seen) > 3, seen
    assert ledger.verify() == []

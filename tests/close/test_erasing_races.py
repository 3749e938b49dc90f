"""Erasing beside all else, made by construction: nothing is lost, double, or left in the wrong series."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

DAY = at("2026-06-18 10:00")
MONTH = {"since": at("2026-06-01"), "until": at("2026-07-01")}
ENDS = pytest.mark.parametrize("end", ["commit", "rollback"])

# What is recorded: a metric, its definition, and the call.
PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "record": ({"aggregate": "sum"}, "record"),
    "record of a maximum": ({"aggregate": "max"}, "record"),
    "record of a member": ({"aggregate": "unique"}, "record"),
    "record in a stripe": ({"aggregate": "sum", "striped": True}, "record"),
    "record of a member in a stripe": ({"aggregate": "unique", "striped": True}, "record"),
    "batch": ({"aggregate": "sum"}, "batch"),
    "batch of maxima": ({"aggregate": "max"}, "batch"),
    "batch of members": ({"aggregate": "unique"}, "batch"),
    "batch in a stripe": ({"aggregate": "sum", "striped": True}, "batch"),
    "batch of members in a stripe": ({"aggregate": "unique", "striped": True}, "batch"),
    "refuses late usage": ({"aggregate": "sum", "after_close": "refuse"}, "batch"),
    "limited": ({"aggregate": "sum", "limit": "a"}, "record"),
    "limited batch": ({"aggregate": "sum", "limit": "a"}, "batch"),
    "limited batch of members": ({"aggregate": "unique", "limit": "a"}, "batch"),
    "limited for everyone": ({"aggregate": "sum", "limit": None}, "record"),
}


def define(ledger: Ledger, definition: dict[str, Any]) -> str:
    given = dict(definition)
    limited = "limit" in given
    subject = given.pop("limit", None)
    aggregate = given.pop("aggregate")
    ledger.define("m", aggregate, **given)
    if limited:
        ledger.call("set_limit", metric="m", quota=1000, subject=subject)
    return str(aggregate)


def event(aggregate: str, n: int, **named: Any) -> dict[str, Any]:
    what = {"member": f"m{n}"} if aggregate == "unique" else {"quantity": n}
    return {"subject": "a", "metric": "m", "idempotency_key": f"k{n}", "at": DAY, **what, **named}


def record(ledger: Ledger, how: str, given: dict[str, Any]) -> str:
    if how == "batch":
        return str(ledger.batch([given | {"metadata": {"field": "x"}}])[0].outcome)
    return str(
        ledger.record(given.pop("subject"), given.pop("metric"), metadata={"field": "x"}, **given).outcome
    )


def erase(ledger: Ledger, subject: str = "a", pseudonym: str = "nobody") -> int:
    return int(ledger.call("erase_subject", subject=subject, pseudonym=pseudonym)[0][0])


def counted(ledger: Ledger, subject: str) -> int:
    return int(ledger.usage(subject, "m", **MONTH).event_count)


def assert_nothing_left_of(ledger: Ledger, subject: str) -> None:
    """No row of the log of that subject has a key or metadata, and every row of series is somebody's."""
    assert (
        ledger.rows(
            "SELECT * FROM meter.logged_events WHERE subject = %s"
            " AND (idempotency_key IS NOT NULL OR metadata IS NOT NULL OR member ~ '^m')",
            [subject],
        )
        == []
    )
    assert (
        ledger.rows(
            "SELECT s.* FROM meter.series s LEFT JOIN meter.series r"
            " ON r.series_id = s.series_id AND r.stripe = 0 AND r.subject = s.subject WHERE r.stripe IS NULL"
        )
        == []
    )


@ENDS
@pytest.mark.parametrize("path", PATHS)
def test_who_waits_for_an_erasure_begins_a_new_subject(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, path: str, end: str
) -> None:
    definition, how = PATHS[path]
    aggregate = define(ledger, definition)
    for n in (1, 5):
        assert record(ledger, how, event(aggregate, n)) == "recorded"
    eraser = new_ledger("eraser", autocommit=False)
    erase(eraser)
    recorder = new_ledger("recorder")
    task = Task(lambda: record(recorder, how, event(aggregate, 2)))
    wait_until_blocked(ledger.connection, "recorder")
    getattr(eraser.connection, end)()
    assert task.result() == "recorded"
    want = {"a": 1, "nobody": 2} if end == "commit" else {"a": 3, "nobody": 0}
    assert {subject: counted(ledger, subject) for subject in want} == want
    assert ledger.verify() == []
    if end == "commit":
        assert_nothing_left_of(ledger, "nobody")
    # And what comes next, in the same session too.
    assert record(recorder, how, event(aggregate, 3)) == "recorded"
    assert record(ledger, how, event(aggregate, 4)) == "recorded"
    assert record(ledger, how, event(aggregate, 2)) == "duplicate"
    assert counted(ledger, "a") == want["a"] + 2
    assert ledger.verify() == []


@ENDS
@pytest.mark.parametrize("limited", [False, True])
def test_a_reservation_that_is_settled_meanwhile_is_the_pseudonyms(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, limited: bool, end: str
) -> None:
    define(ledger, {"aggregate": "sum"} | ({"limit": "a"} if limited else {}))
    given = {"quantity": 5, "idempotency_key": "k1", "metadata": Jsonb({"field": "x"})}
    held = ledger.call("reserve", subject="a", metric="m", **given)[0].reservation_id
    eraser = new_ledger("eraser", autocommit=False)
    erase(eraser)
    other = new_ledger("settler")
    task = Task(lambda: other.call("settle", reservation_id=held, quantity=4, at=DAY))
    wait_until_blocked(ledger.connection, "settler")
    getattr(eraser.connection, end)()
    assert task.result()[0].outcome == "recorded"
    assert counted(ledger, "nobody" if end == "commit" else "a") == 1
    assert ledger.verify() == []
    if end == "commit":
        assert_nothing_left_of(ledger, "nobody")


def test_the_eraser_gives_up_and_the_recorder_goes_on(ledger: Ledger, new_ledger: NewLedger) -> None:
    define(ledger, {"aggregate": "sum"})
    record(ledger, "record", event("sum", 1))
    open_one = new_ledger("open", autocommit=False)
    record(open_one, "record", event("sum", 2))
    began = time.monotonic()
    with pytest.raises(psycopg.Error) as refused:
        erase(ledger)
    assert refused.value.sqlstate == "55P03"
    assert time.monotonic() - began < 10
    open_one.connection.commit()
    assert counted(ledger, "a") == 2
    assert erase(ledger) == 2
    assert counted(ledger, "nobody") == 2


def test_a_series_that_is_being_made_is_waited_for(ledger: Ledger, new_ledger: NewLedger) -> None:
    """Or its first event would be left under the old text."""
    define(ledger, {"aggregate": "sum"})
    ledger.define("other", "sum")
    record(ledger, "record", event("sum", 1))
    open_one = new_ledger("open", autocommit=False)
    open_one.record("a", "other", 1)
    with pytest.raises(psycopg.Error) as refused:
        erase(ledger)
    assert refused.value.sqlstate == "55P03"
    open_one.connection.commit()
    erase(ledger)
    assert ledger.rows("SELECT * FROM meter.series WHERE subject = 'a'") == []


def test_others_record_on_while_a_subject_is_erased(ledger: Ledger, new_ledger: NewLedger) -> None:
    define(ledger, {"aggregate": "sum"})
    ledger.define("users", "unique")
    for first in range(0, 6000, 1000):
        ledger.batch(
            [
                {"subject": "a", "metric": "m", "quantity": 1, "at": DAY, "metadata": {"field": n}}
                for n in range(first, first + 1000)
            ]
            + [
                {"subject": "a", "metric": "users", "member": str(n), "at": DAY}
                for n in range(first, first + 1000)
            ]
        )
    stop = threading.Event()
    worst = [0.0] * 4

    def run(n: int) -> int:
        recorder, count = new_ledger(f"recorder {n}"), 0
        while not stop.is_set():
            began = time.perf_counter()
            if n % 2:
                recorder.record(f"b{n}", "m", 1, at=DAY, idempotency_key=str(count))
            else:
                recorder.batch([{"subject": f"b{n}", "metric": "users", "member": str(count), "at": DAY}])
            worst[n] = max(worst[n], time.perf_counter() - began)
            count += 1
        return count

    tasks = [Task(lambda n=n: run(n)) for n in range(4)]
    try:
        time.sleep(0.3)
        began = time.perf_counter()
        assert erase(ledger) == 12000
        took = time.perf_counter() - began
    finally:
        stop.set()
    counts = [task.result() for task in tasks]
    assert max(worst) < max(took / 2, 0.5), (worst, took)
    for n, count in enumerate(counts):
        metric = "m" if n % 2 else "users"
        assert ledger.usage(f"b{n}", metric, **MONTH).event_count == count > 0
    assert ledger.usage("nobody", "users", **MONTH).quantity == 6000
    assert ledger.verify() == []


@ENDS
@pytest.mark.parametrize("what", ["revert", "void", "adjust"])
def test_a_correction_that_waits_writes_no_text_of_the_subject(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, what: str, end: str
) -> None:
    define(ledger, {"aggregate": "unique"})
    for n in (1, 2):
        record(ledger, "record", event("unique", n))
    if what == "adjust":
        ledger.define("tokens", "sum")
    void = ledger.call("void_event", subject="a", metric="m", idempotency_key="k1", reason="x")[0]
    eraser, other = new_ledger("eraser", autocommit=False), new_ledger("corrector")
    erase(eraser)
    calls: dict[str, Callable[[], list[Any]]] = {
        "revert": lambda: other.call("revert_correction", id=void.correction_id, reason="x"),
        "void": lambda: other.call("void_event", subject="a", metric="m", idempotency_key="k2", reason="x"),
        "adjust": lambda: other.call("adjust", subject="a", metric="tokens", quantity=1, reason="x"),
    }
    task = Task(calls[what])
    wait_until_blocked(ledger.connection, "corrector")
    getattr(eraser.connection, end)()
    if what == "void" and end == "commit":
        with pytest.raises(psycopg.Error) as refused:
            task.result()
        assert refused.value.sqlstate == "UM007"
    else:
        task.result()
    name = "nobody" if end == "commit" else "a"
    want = {"revert": 2, "adjust": 1, "void": 1 if end == "commit" else 0}[what]
    assert ledger.usage(name, "m", **MONTH).quantity == want
    assert ledger.verify() == []
    if end == "commit":
        assert_nothing_left_of(ledger, "nobody")


def test_two_erasures_of_a_subject_are_one(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    define(ledger, {"aggregate": "sum"})
    record(ledger, "record", event("sum", 1))
    eraser, other = new_ledger("eraser", autocommit=False), new_ledger("other")
    erase(eraser)
    task = Task(lambda: erase(other, "a", "another"))
    wait_until_blocked(ledger.connection, "other")
    eraser.connection.commit()
    with pytest.raises(psycopg.Error) as refused:
        task.result()
    assert refused.value.sqlstate == "UM007"
    assert counted(ledger, "nobody") == 1


def test_a_watermark_and_a_statement_wait_or_are_of_the_pseudonym(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    define(ledger, {"aggregate": "sum"})
    record(ledger, "record", event("sum", 1))
    ledger.call("watermark", subject="a")
    eraser = new_ledger("eraser", autocommit=False)
    erase(eraser)
    for function, named in (("watermark", {}), ("close_period", MONTH)):
        with pytest.raises(psycopg.Error) as refused:
            ledger.call(function, subject="a", **named)
        assert refused.value.sqlstate == "55P03"
    eraser.connection.commit()
    ledger.call("close_period", subject="nobody", **MONTH)
    assert [s.subject for s in ledger.call("statements")] == ["nobody"]
    ((later,),) = ledger.call("watermark", subject="nobody")
    record(ledger, "record", event("sum", 3, subject="nobody", at=DAY + timedelta(hours=1)))
    assert ledger.value("SELECT max(recorded_at) FROM meter.events") > later


@ENDS
@pytest.mark.parametrize("aggregate", ["sum", "unique"])
def test_a_rebuild_that_waits_finds_the_members_that_there_are_now(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, aggregate: str, end: str
) -> None:
    define(ledger, {"aggregate": aggregate})
    for n in (1, 2):
        record(ledger, "record", event(aggregate, n))
    ledger.tamper("total = 99")
    eraser, other = new_ledger("eraser", autocommit=False), new_ledger("rebuilder")
    erase(eraser)
    task = Task(other.rebuild)
    wait_until_blocked(ledger.connection, "rebuilder")
    getattr(eraser.connection, end)()
    assert task.result() > 0
    assert ledger.verify() == []
    used = ledger.usage("nobody" if end == "commit" else "a", "m", **MONTH)
    assert (used.quantity, used.event_count) == (3 if aggregate == "sum" else 2, 2)


def test_a_decision_that_waits_for_an_erasure_leaves_no_trace_of_the_name(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    define(ledger, {"aggregate": "sum"})
    ledger.call("record", **event("sum", 1))
    header = ledger.call("close_period", subject="a", **MONTH)[0]
    ledger.call("record", **event("sum", 2))
    eraser, writer = new_ledger("eraser", autocommit=False), new_ledger("writer")
    eraser.call("erase_subject", subject="a", pseudonym="erased_1")
    given = {"statement_id": header.statement_id, "metric": "m", "delta": 2, "decision": "bill"}
    waiting = Task(lambda: writer.call("settle_late_usage", **given))
    wait_until_blocked(ledger.connection, "writer")
    eraser.connection.commit()
    error = waiting.error()
    assert error is not None
    assert error.sqlstate == "55P03"
    assert ledger.value("SELECT array_agg(subject) FROM meter.sealed_subjects") == ["erased_1"]
    assert ledger.call("settle_late_usage", **given)[0].outcome == "settled"

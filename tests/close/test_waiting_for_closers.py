"""Who closes never makes a recorder the victim of a deadlock, nor wait for more than a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.close.closing import JULY, JUNE, close, use
from tests.close.load import NAMED, define, run_load
from tests.close.test_sealed_under_load import AS_DELIVERED
from tests.faults.servers import new_database, new_server
from tests.helpers import Ledger, Task, at, at_length

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

SECONDS = at_length(6, 60)
SESSIONS = {
    "recorder_single": ("record_single", "record_now"),
    "recorder_batch": ("record_batch",),
    "recorder_now": ("record_now",),
    "recorder_any": ("record_single", "record_batch", "record_now"),
    "closer_period": ("close_period", "decide", "decide", "set_late_usage"),
    "closer_due": ("close_due", "watermark", "watermark"),
    "other_corrects": ("correct",),
    "other_maintains": ("limit", "define", "maintain", "limit"),
}


@pytest.fixture(scope="module")
def as_delivered() -> Iterator[str]:
    """A database on a server that looks for deadlocks after a second, as PostgreSQL does by default."""
    with new_server(settings=AS_DELIVERED) as server, new_database(server.dsn) as dsn:
        migrate(dsn)
        yield dsn


@pytest.mark.slow
@pytest.mark.at_length
def test_no_recorder_is_the_victim_of_a_deadlock_with_who_closes_and_none_waits_long(
    as_delivered: str,
) -> None:
    with psycopg.connect(as_delivered, autocommit=True) as connection:
        define(Ledger(connection))
    load = run_load(as_delivered, SESSIONS, SECONDS, seed=1, look=False, statements=10_000)
    assert load.wrong == [], load.wrong[:5]
    for what in (
        "record_single",
        "record_batch",
        "watermark",
        "close_period",
        "close_due",
        "correct",
        "limit",
    ):
        assert load.done[what] > 0, load.done
    assert load.longest_wait_for_closer < 1, load
    with psycopg.connect(as_delivered, autocommit=True) as connection:
        ledger = Ledger(connection)
        assert ledger.verify() == []
        assert ledger.call("verify_statements") == []


def test_a_recorder_waits_for_one_patience_of_who_closes_however_many_rows_are_held(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """Five rows are held, each for longer than the one before; a recorder of the first row waits behind."""
    held = [f"m{n}" for n in range(6)]
    for metric in held:
        ledger.define(metric, "sum")
        use(ledger, "a", metric, 1, at("2026-06-10"), of="sum")
    holders = [new_ledger(f"holder{n}", autocommit=False) for n in range(1, 6)]
    for holder, metric in zip(holders, held[1:], strict=True):
        use(holder, "a", metric, 1, at("2026-06-11"), of="sum")
    closing = Task(lambda: close(new_ledger("closer")))
    wait_until_blocked(ledger.connection, "closer")
    started = time.monotonic()

    def let_go() -> None:
        for n, holder in enumerate(holders, 1):
            time.sleep(max(0, started + 0.2 * n - time.monotonic()))
            holder.connection.commit()

    letting_go = Task(let_go)
    assert use(new_ledger("recorder"), "a", "m0", 1, at("2026-06-12"), of="sum").outcome == "recorded"
    waited = time.monotonic() - started
    error = closing.error()
    letting_go.result()
    assert waited < 0.6, waited
    assert error is not None
    assert error.sqlstate == "55P03"
    assert close(ledger).until == JULY


def test_a_call_of_close_due_ends_after_a_second_whatever_is_due(ledger: Ledger) -> None:
    """Recorders wait for what it has closed until then. 4,000 subjects are due, with 10 metrics each."""
    metrics = [f"m{n}" for n in range(10)]
    for metric in metrics:
        ledger.define(metric, "sum")
    for first in range(0, 4000, 500):
        ledger.batch(
            [
                {"subject": f"s{n:04}", "metric": metric, "quantity": 1, "at": "2026-06-10T00:00:00Z"}
                for n in range(first, first + 500)
                for metric in metrics
            ]
        )
    ledger.execute("ANALYZE")
    started = time.monotonic()
    rows = ledger.call("close_due", now=JULY + timedelta(days=1), max_rows=10_000)
    took = time.monotonic() - started
    assert {row.outcome for row in rows} == {"closed"}
    assert 100 <= len(rows) < 4000
    assert took < 2, (took, len(rows))


def test_a_period_that_two_calls_of_close_due_found_is_closed_once_and_neither_is_an_error(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 1, at("2026-06-10"), of="sum")
    ledger.call("watermark", subject="a")  # so that both find it
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    due = {"now": JULY + timedelta(days=1), "max_rows": 1}
    (first,) = one.call("close_due", **due)
    closing = Task(lambda: two.call("close_due", **due))
    wait_until_blocked(ledger.connection, "two")
    one.connection.commit()
    assert closing.result() == [first]
    assert first.outcome == "closed"
    assert len(ledger.call("statements")) == 1
    assert ledger.call("close_due", **due) == []


@pytest.mark.parametrize("kind", ["sum", "limited", "unique", "striped"])
@pytest.mark.parametrize("how", ["record", "batch"])
def test_a_recorder_that_holds_one_row_and_wants_another_of_who_closes_goes_on(
    as_delivered: str,
    connect: Callable[..., psycopg.Connection[object]],
    wait_until_blocked: Wait,
    kind: str,
    how: str,
) -> None:
    """The closer has the second row and wants the first: it gives up, and the recorder does not."""
    ledger = Ledger(connect("observer", dsn=as_delivered))
    first, second = f"one {kind} {how}", f"two {kind} {how}"
    for metric in (first, second):
        ledger.define(metric, "unique" if kind == "unique" else "sum", striped=kind == "striped")
        if kind == "limited":
            ledger.call("set_limit", metric=metric, quota=1000)
    of = "unique" if kind == "unique" else "sum"
    for metric in (first, second):
        use(ledger, NAMED[0], metric, 1, JUNE, of=of)
    recorder = Ledger(connect("recorder", dsn=as_delivered, autocommit=False))
    closer = Ledger(connect("closer", dsn=as_delivered))
    use(recorder, NAMED[0], second, 2, JUNE, of=of)
    closing = Task(lambda: closer.call("watermark", subject=NAMED[0]))
    wait_until_blocked(ledger.connection, "closer")
    started = time.monotonic()
    if how == "record":
        outcome = use(recorder, NAMED[0], first, 3, JUNE, of=of).outcome
    else:
        event = {"subject": NAMED[0], "metric": first, "at": JUNE.isoformat()}
        payload = {"member": "u3"} if kind == "unique" else {"quantity": 3}
        outcome = recorder.batch([{**event, **payload}])[0].outcome
    assert outcome == "recorded"
    assert time.monotonic() - started < 1.5
    error = closing.error()
    recorder.connection.commit()
    assert error is not None
    assert error.sqlstate == "55P03"

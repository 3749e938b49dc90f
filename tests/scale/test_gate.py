"""A subject that is closed: who has written for it is waited for, who comes later is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, Task, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

# Everything that writes for the subject `a`, by each way that it may go inside.
RECORDING = {
    "keyless": "SELECT meter.record('a', 'm', 1)",
    "with a key": "SELECT meter.record('a', 'm', 1, idempotency_key => 'new')",
    "backdated": "SELECT meter.record('a', 'm', 1, at => now() - interval '40 days')",
    "backdated with a key": "SELECT meter.record('a', 'm', 1, idempotency_key => 'new',"
    " at => now() - interval '40 days')",
    "ahead": "SELECT meter.record('a', 'm', 1, at => now() + interval '2 minutes')",
    "a batch": """SELECT meter.record_batch('[{"subject": "a", "metric": "m", "quantity": 1}]')""",
    "a batch with keys": """SELECT meter.record_batch('[
        {"subject": "a", "metric": "m", "quantity": 1, "idempotency_key": "x"},
        {"subject": "b", "metric": "m", "quantity": 1, "idempotency_key": "y"}]')""",
    "a batch of several kinds": """SELECT meter.record_batch('[
        {"subject": "b", "metric": "m", "quantity": 1}, {"subject": "a", "metric": "people", "member": "u"},
        {"subject": "a", "metric": "striped", "quantity": 1}]')""",
    "a new series": "SELECT meter.record('a', 'fresh', 1)",
    "a new series in a batch": """SELECT meter.record_batch(
        '[{"subject": "a", "metric": "fresh", "quantity": 1}]')""",
    "many new series": """SELECT meter.record_batch((
        SELECT jsonb_agg(jsonb_build_object('subject', s, 'metric', 'fresh', 'quantity', 1))
        FROM (SELECT 'a' AS s UNION ALL SELECT 'c' || n FROM generate_series(1, 40) n) s))""",
    "a member": "SELECT meter.record('a', 'people', member => 'someone')",
    "in stripes": "SELECT meter.record('a', 'striped', 1)",
    "limited": "SELECT meter.record('a', 'limited', 1)",
    "limited in a batch": """SELECT meter.record_batch(
        '[{"subject": "a", "metric": "limited", "quantity": 1}]')""",
    "limited and new": "SELECT meter.record('a', 'fresh limited', 1)",
    "a reservation": "SELECT meter.reserve('a', 'm', 1)",
    "a reservation with a minimum": "SELECT meter.reserve('a', 'm', 2, minimum => 1)",
    "a limited reservation": "SELECT meter.reserve('a', 'limited', 1, 'new')",
    "reservations": """SELECT meter.reserve_batch('[{"subject": "a", "metric": "m", "quantity": 1}]')""",
    "settling": "SELECT meter.settle(max(reservation_id), 1) FROM meter.reservations WHERE metric = 'm'",
    "settling for the past": "SELECT meter.settle(max(reservation_id), 1, at => now() - interval '40 days')"
    " FROM meter.reservations WHERE metric = 'm'",
    "settling within a limit": "SELECT meter.settle(max(reservation_id), 1) FROM meter.reservations"
    " WHERE metric = 'limited'",
    "releasing": "SELECT meter.release(max(reservation_id)) FROM meter.reservations WHERE metric = 'm'",
    "extending": "SELECT meter.extend(max(reservation_id)) FROM meter.reservations WHERE metric = 'limited'",
}
# What needs a READ COMMITTED transaction, and changes of what belongs to the subject.
CHANGING = {
    "a void": "SELECT meter.void_event('a', 'm', idempotency_key => 'first', reason => 'x')",
    "an amendment": "SELECT meter.amend_event('a', 'm', idempotency_key => 'first', quantity => 7,"
    " reason => 'x')",
    "an adjustment": "SELECT meter.adjust('a', 'm', -1, reason => 'x')",
    "an approval": "SELECT meter.approve_correction(max(correction_id)) FROM meter.corrections"
    " WHERE state = 'open'",
    "a watermark": "SELECT meter.watermark('a')",
    "a statement": "SELECT meter.close_period('a', '2026-01-01Z', '2026-02-01Z')",
    "erasing": "SELECT meter.erase_subject('a', 'gone')",
    "a pseudonym": "SELECT meter.erase_subject('d', 'a')",
    "a rebuild": "SELECT meter.rebuild('a')",
    "a limit": "SELECT meter.set_limit('m', 5, subject => 'a')",
    "a plan": "SELECT meter.subscribe('a', 'pro')",
    "a cycle": "SELECT meter.set_billing_cycle('a', '2026-01-31Z')",
    "a top-up": "SELECT meter.top_up('a', 'limited', 5, 'invoice_1')",
    "a credit": "SELECT meter.grant_credit('a', 5, 'EUR', 'welcome')",
    "a tax": "SELECT meter.set_tax('a', 19)",
    "a budget": "SELECT meter.set_budget(5, 'EUR', subject => 'a')",
    "a price": """SELECT meter.define_price('pro', 'm', '{"model": "unit", "unit_amount": 1}', 'm',
        subject => 'a')""",
    "an alert": "SELECT meter.set_spike_alert('m', 3, subject => 'a')",
    "a key": "SELECT meter.create_api_key('read', 'a')",
    "a customer": "SELECT meter.report_subject('a', 'cus_1')",
}
WRITING = RECORDING | CHANGING
_TABLES = [
    "events",
    "keys",
    "reservations",
    "series",
    "limits",
    "subscriptions",
    "top_ups",
    "credits",
    "corrections",
    "notifications",
    "statements",
]


@pytest.fixture
def meter(ledger: Ledger) -> Ledger:
    """A meter with a subject that has something of everything."""
    for metric in ("m", "fresh", "limited", "fresh limited"):
        ledger.define(metric, "sum")
    ledger.define("people", "unique")
    ledger.define("striped", "sum", striped=True)
    for metric in ("limited", "fresh limited"):
        ledger.execute("SELECT meter.set_limit(%s, 1000)", [metric])
    for statement in (
        "SELECT meter.define_plan('pro')",
        "SELECT meter.define_biller('stripe')",
        "SELECT meter.record('d', 'm', 1)",
        "SELECT meter.record('b', 'm', 1)",
        "SELECT meter.record('a', 'm', 1, idempotency_key => 'first')",
        "SELECT meter.record('a', 'm', 1, at => now() - interval '40 days')",
        "SELECT meter.record('a', 'limited', 1)",
        "SELECT meter.record('a', 'limited', 1)",
        "SELECT meter.record('a', 'striped', 1)",
        "SELECT meter.record('a', 'people', member => 'u')",
        "SELECT meter.reserve('a', 'm', 1)",
        "SELECT meter.reserve('a', 'limited', 1)",
        "SELECT meter.stage_correction(meter.open_correction('x'), "
        '\'[{"entry": "adjust", "subject": "a", "metric": "m", "quantity": -1}]\')',
    ):
        ledger.execute(statement)
    return ledger


def run_states(meter: Ledger) -> list[Any]:
    return meter.rows("SELECT subject, state, other FROM meter.moves()")


def written(ledger: Ledger) -> dict[str, str]:
    """What is in the tables that hold what belongs to subjects; `a` marks of series may change."""
    return {
        table: ledger.value(
            "SELECT md5(coalesce(string_agg(t.row, ',' ORDER BY t.row), ''))"
            " FROM (SELECT (to_jsonb(t) - '{revision,is_ordinary}'::text[])::text AS row"
            f" FROM meter.{table} t) t"
        )
        for table in _TABLES
    }


# More is asked of the subject than it has here: these are only tried where they are refused.
UNFIT = {"erasing", "a pseudonym"}


def test_who_has_written_is_waited_for(meter: Ledger, new_ledger: NewLedger) -> None:
    """As long as its transaction is open, the subject cannot be closed."""
    other = new_ledger("writer", autocommit=False)
    for name in WRITING.keys() - UNFIT:
        other.execute(WRITING[name])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            meter.execute("SELECT meter.close_home('a', 's2', wait => '0')")
            pytest.fail(name)
        assert run_states(meter) == [], name
        other.connection.rollback()
        meter.execute("SELECT meter.close_home('a', 's2', wait => '0')")
        meter.execute("SELECT meter.reopen_home('a')")


@pytest.mark.parametrize(
    "names", [sorted(RECORDING), sorted(CHANGING.keys() - UNFIT)], ids=["recording", "changing"]
)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_who_comes_while_it_is_closed_waits_and_is_refused(
    meter: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, names: list[str], end: str
) -> None:
    """If closing is given up, nothing has happened."""
    closer, other = new_ledger("closer", autocommit=False), new_ledger("writer", autocommit=False)
    before = written(meter)
    for name in names:
        closer.execute("SELECT meter.close_home('a', 's2')")
        writing = Task(lambda name=name: other.execute(WRITING[name]))  # type: ignore[misc]
        wait_until_blocked(meter.connection, "writer")
        getattr(closer.connection, end)()
        error = writing.error()
        other.connection.rollback()
        if end == "rollback":
            assert error is None, name
            continue
        assert error is not None, name
        assert (error.sqlstate, error.diag.message_detail, error.diag.column_name) == (
            "UM008",
            "s2",
            "subject",
        ), name
        assert written(meter) == before, name
        meter.execute("SELECT meter.reopen_home('a')")


@pytest.mark.parametrize("state", ["closing", "moved", "arriving"])
def test_nothing_is_written_for_a_subject_that_is_not_at_home(meter: Ledger, state: str) -> None:
    meter.execute("SELECT meter.close_home('a', 's2')")
    if state != "closing":
        meter.execute("SELECT meter.leave_home('a')")
    if state == "arriving":
        meter.execute("SELECT meter.expect_subject('a', 's2')")
    before = written(meter)
    # Texts of a sealed copy can be erased: test_erasing_copies.py.
    for name, statement in WRITING.items() - (
        {("erasing", WRITING["erasing"])} if state == "moved" else set()
    ):
        with pytest.raises(psycopg.Error) as caught:
            meter.execute(statement)
        assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("UM008", "s2"), name
        assert caught.value.diag.message_hint, name
    # A retry of an old key is no duplicate here: the other shard answers it.
    with refused("UM008"):
        meter.execute("SELECT meter.record('a', 'm', 1, idempotency_key => 'first')")
    assert written(meter) == before


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_does_not_pass(meter: Ledger, new_ledger: NewLedger, isolation: str) -> None:
    """Its transaction began before the subject was closed, and does not see that it is."""
    other = new_ledger("writer", autocommit=False)
    before = written(meter)
    for name, statement in RECORDING.items():
        other.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        other.execute("SELECT FROM meter.metrics")
        meter.execute("SELECT meter.close_home('a', 's2')")
        with pytest.raises(psycopg.Error) as caught:
            other.execute(statement)
            other.connection.commit()
            pytest.fail(name)
        assert caught.value.sqlstate in ("40001", "UM008"), name
        other.connection.rollback()
        assert written(meter) == before, name
        meter.execute("SELECT meter.reopen_home('a')")


def test_after_reopening_everything_goes_on(meter: Ledger) -> None:
    meter.execute("SELECT meter.close_home('a', 's2')")
    assert meter.value("SELECT meter.reopen_home('a')")
    for name in WRITING.keys() - UNFIT - {"a statement", "releasing", "settling for the past"}:
        meter.execute(WRITING[name])
    assert meter.verify() == []


def test_others_do_not_wait(meter: Ledger, new_ledger: NewLedger) -> None:
    """While the subject is being closed, all kinds of writing for another subject go on at once."""
    closer, other = new_ledger("closer", autocommit=False), new_ledger("writer")
    for statement in ("SELECT meter.reserve('b', 'm', 1)", "SELECT meter.reserve('b', 'limited', 1)"):
        meter.execute(statement)
    closer.execute("SELECT meter.close_home('a', 's2')")
    other.execute("SET lock_timeout = '1s'")
    for name in RECORDING.keys() - {"many new series", "a batch of several kinds"}:
        other.execute(RECORDING[name].replace("'a'", "'b'").replace('"a"', '"b"'))
    closer.connection.commit()
    assert meter.verify() == []


def test_a_long_transaction_makes_it_give_up(meter: Ledger, new_ledger: NewLedger) -> None:
    """In time; meanwhile the subject is recorded, and nobody waits for longer than a part of a second."""
    long, other = new_ledger("long", autocommit=False), new_ledger("other")
    long.execute("SELECT meter.record('a', 'striped', 1)")
    began = time.monotonic()
    closing = Task(lambda: meter.execute("SELECT meter.close_home('a', 's2', wait => '2 s')"))
    worst = 0.0
    count = 0
    while closing.running:
        start = time.monotonic()
        other.execute("SELECT meter.record('a', 'm', 1)")
        worst = max(worst, time.monotonic() - start)
        count += 1
    error = closing.error()
    assert error is not None
    assert error.sqlstate == "55P03"
    assert time.monotonic() - began < 4
    assert count > 10
    assert worst < 1.5
    assert meter.rows("SELECT * FROM meter.moves()") == []


def test_a_transaction_of_another_subject_does_not_keep_it_open(meter: Ledger, new_ledger: NewLedger) -> None:
    other = new_ledger("long", autocommit=False)
    other.execute(RECORDING["with a key"].replace("'a'", "'b'"))
    other.execute(RECORDING["a new series"].replace("'a'", "'b'"))
    meter.execute("SELECT meter.close_home('a', 's2', wait => '0')")
    assert meter.value("SELECT state FROM meter.moves()") == "closing"
    with refused("55P03"):
        meter.execute("SELECT meter._log_barrier('0')")
    other.connection.commit()
    meter.execute("SELECT meter._log_barrier('0')")


def test_the_barrier_does_not_wait_for_those_who_only_read(meter: Ledger, new_ledger: NewLedger) -> None:
    reader = new_ledger("reader", autocommit=False)
    reader.rows("SELECT * FROM meter.events('b')")
    meter.execute("SELECT meter._log_barrier('0')")


def test_a_recorder_that_needs_both_locks_is_not_the_victim(
    meter: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """It holds a row of a series, and creates another one while the subject is being closed."""
    other = new_ledger("writer", autocommit=False)
    other.execute("SELECT meter.record('a', 'm', 1)")
    closing = Task(lambda: meter.execute("SELECT meter.close_home('a', 's2', wait => '10 s')"))
    for metric in ("fresh", "fresh limited"):
        time.sleep(0.3)
        other.execute(f"SELECT meter.record('a', '{metric}', 1)")
    other.connection.commit()
    closing.result()
    assert meter.value("SELECT count(*) FROM meter.events('a') WHERE metric ~ 'fresh'") == 2


def test_each_step_can_be_repeated(meter: Ledger) -> None:
    for _ in range(2):
        meter.execute("SELECT meter.close_home('a', 's2')")
    assert run_states(meter) == [("a", "closing", "s2")]
    assert [meter.value("SELECT meter.reopen_home('a')") for _ in range(2)] == [True, False]
    meter.execute("SELECT meter.close_home('a', 's2')")
    for _ in range(2):
        assert meter.value("SELECT state FROM meter.leave_home('a')") == "moved"
    for _ in range(2):
        assert meter.value("SELECT state FROM meter.expect_subject('a', 's2')") == "arriving"
    assert [meter.value("SELECT meter.admit_subject('a')") for _ in range(2)] == [True, False]
    assert run_states(meter) == []
    meter.execute(RECORDING["keyless"])


def test_a_step_out_of_order_is_refused(meter: Ledger) -> None:
    for function in ("leave_home('a')", "expect_subject('a', 's2')"):  # it is at home
        with refused("55000"):
            meter.execute(f"SELECT meter.{function}")
    meter.execute("SELECT meter.close_home('a', 's2')")
    for function in ("close_home('a', 's3')", "expect_subject('a', 's2')", "admit_subject('a')"):
        with refused("55000"):
            meter.execute(f"SELECT meter.{function}")
    meter.execute("SELECT meter.leave_home('a')")
    for function in ("close_home('a', 's2')", "reopen_home('a')", "admit_subject('a')"):
        with refused("55000"):
            meter.execute(f"SELECT meter.{function}")
    meter.execute("SELECT meter.expect_subject('a', 's2')")
    for function in ("close_home('a', 's2')", "reopen_home('a')", "leave_home('a')"):
        with refused("55000"):
            meter.execute(f"SELECT meter.{function}")


def test_a_run_that_was_replaced_changes_nothing(meter: Ledger) -> None:
    first, second = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
    meter.execute("SELECT meter.close_home('a', 's2', run => %s)", [first])
    meter.execute("SELECT meter.close_home('a', 's2', run => %s)", [second])
    for function in ("reopen_home", "leave_home"):
        with refused("55000", "run"):
            meter.execute(f"SELECT meter.{function}('a', %s)", [first])
    meter.execute("SELECT meter.leave_home('a', %s)", [second])
    meter.execute("SELECT meter.expect_subject('a', 's2', %s)", [first])
    with refused("55000", "run"):
        meter.execute("SELECT meter.admit_subject('a', %s)", [second])
    assert meter.value("SELECT meter.admit_subject('a', %s)", [first])


@pytest.mark.parametrize(
    ("call", "sqlstate"),
    [
        ("close_home(null, 's2')", "22004"),
        ("close_home('a', null)", "22004"),
        ("close_home('a', ' ')", "22023"),
        ("close_home('a', 's2', null)", "22004"),
        ("close_home('a', 's2', '-1 s')", "22023"),
        ("close_home('a', 's2', '2 hours')", "22023"),
        ("reopen_home(null)", "22004"),
        ("leave_home('')", "22023"),
        ("expect_subject('new', null)", "22004"),
        ("expect_subject('new', '')", "22023"),
        ("admit_subject(repeat('x', 513))", "22023"),
    ],
)
def test_a_bad_value_is_refused(meter: Ledger, call: str, sqlstate: str) -> None:
    with refused(sqlstate):
        meter.execute(f"SELECT meter.{call}")
    assert run_states(meter) == []

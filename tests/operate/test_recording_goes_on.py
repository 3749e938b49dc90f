"""No call of an administrator and no open transaction stops recording."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from pymeter.install import statements
from tests.helpers import Ledger, Task

NewLedger = Callable[..., Ledger]

# The machine may be busy; a call that stops recording stops it for five seconds and more.
_WAIT_SECONDS_MAX = 2.0
RECORDERS = 8

# What needs that nobody uses the catalog, the log or a row, for a moment: each waits, and gives up.
STRONG = {
    "define_metric": "SELECT meter.define_metric('m', 'sum', 'unit', rollup => 'day')",
    "report_metric": "SELECT meter.report_metric('m', 'calls')",
    "maintain": "SELECT * FROM meter.maintain()",
    "rebuild": "SELECT meter.rebuild()",
    "set_shard": "SELECT meter.set_shard(3, ids_above => 1000000000)",
}
# Everything else that changes something.
OTHERS = {
    "retire_metric": "SELECT meter.retire_metric('other')",
    "define_biller": "SELECT meter.define_biller('stripe', subject_is_customer => true)",
    "report_subject": "SELECT meter.report_subject('a', 'cus_1')",
    "plan_pushes": "SELECT meter.plan_pushes()",
    "claim_pushes": "SELECT * FROM meter.claim_pushes('stripe', 'worker')",
    "settle_pushes": "SELECT meter.settle_pushes('stripe', 'worker', '[]')",
    "release_pushes": "SELECT meter.release_pushes('stripe', 'worker')",
    "fail_pushes": "SELECT meter.fail_pushes('stripe', 'evt_1', '{}', 'meter_event_invalid_value')",
    "retry_pushes": "SELECT meter.retry_pushes()",
    "resolve_push": "SELECT meter.resolve_push('unknown', true)",
    "settle_hour": "SELECT meter.settle_hour('stripe', 'cus_1', 'calls', '2026-06-01 10:00Z', 0)",
    "reconcile_range": "SELECT meter.reconcile_range('stripe', 'cus_1', 'calls', '2026-06-01Z', 'day', 0)",
    "leave_pushes": "SELECT meter.leave_pushes(reason => 'too_old')",
    "adopt_journal": "SELECT meter.adopt_journal(force => true)",
    "set_setting": "SELECT meter.set_setting('notifications_keep', '30 days')",
    "define_plan": "SELECT meter.define_plan('pro')",
    "define_price": """SELECT meter.define_price('pro', 'm', '{"model": "unit", "unit_amount": 1}', 'm')""",
    "retire_price": "SELECT meter.retire_price('pro', 'm')",
    "set_plan_minimum": "SELECT meter.set_plan_minimum('pro', 50)",
    "set_billing_cycle": "SELECT meter.set_billing_cycle('s0', '2026-01-31Z')",
    "subscribe": "SELECT meter.subscribe('s0', 'pro', since => '2026-01-31Z')",
    "unsubscribe": "SELECT meter.unsubscribe('s0', 'pro')",
    "set_limit": "SELECT meter.set_limit('m', 1000000, subject => 's0')",
    "remove_limit": "SELECT meter.remove_limit('m', subject => 's0')",
    "reserve": "SELECT meter.reserve('s0', 'm', 1)",
    "reserve_batch": 'SELECT meter.reserve_batch(\'[{"subject": "s0", "metric": "m", "quantity": 1}]\')',
    "settle": "SELECT meter.settle((SELECT reservation_id FROM meter.reserve('s0', 'm', 1)), 1)",
    "release": "SELECT meter.release((SELECT reservation_id FROM meter.reserve('s0', 'm', 1)))",
    "extend": "SELECT meter.extend((SELECT reservation_id FROM meter.reserve('s0', 'm', 1)))",
    "top_up": "SELECT meter.top_up('s0', 'm', 200, 'invoice_17')",
    "void_top_up": "SELECT meter.void_top_up(max(top_up_id), 'refunded') FROM meter.top_ups",
    "grant_credit": "SELECT meter.grant_credit('s0', 20, 'EUR', 'welcome')",
    "void_credit": "SELECT meter.void_credit(max(credit_id), 'a mistake') FROM meter.credits('s0')",
    "create_api_key": "SELECT meter.create_api_key('read', 's0')",
    "authenticate": "SELECT meter.authenticate(meter._credential(key)) FROM meter.create_api_key('write')",
    "revoke_api_key": "SELECT meter.revoke_api_key(max(key_id)) FROM meter.api_keys()",
    "set_tax": "SELECT meter.set_tax('s0', 19)",
    "set_budget": "SELECT meter.set_budget(0, 'EUR', subject => 's0', action => 'block')",
    "judge_budgets": "SELECT meter.judge_budgets()",
    "remove_budget": "SELECT meter.remove_budget('EUR', subject => 's0')",
    "adjust": "SELECT meter.adjust('s0', 'm', -1, reason => 'goodwill')",
    "void_event": "SELECT meter.void_event('s0', 'm', max(event_id), reason => 'x')"
    " FROM meter.events('s0', 'm') WHERE kind = 'usage'",
    "amend_event": "SELECT meter.amend_event('s0', 'm', max(event_id), quantity => 2, reason => 'x')"
    " FROM meter.events('s0', 'm') WHERE kind = 'usage'",
    "open_correction": "SELECT meter.open_correction('x')",
    "stage_correction": "SELECT meter.stage_correction(max(correction_id),"
    ' \'[{"entry": "adjust", "subject": "s0", "metric": "m", "quantity": -1}]\')'
    " FROM meter.corrections('open')",
    "approve_correction": "SELECT meter.approve_correction(max(correction_id))"
    " FROM meter.corrections('open')",
    "revert_correction": "SELECT meter.revert_correction(max(correction_id), 'x')"
    " FROM meter.corrections('approved')",
    "reject_correction": "SELECT meter.reject_correction(meter.open_correction('x'), 'x')",
    "watermark": "SELECT meter.watermark('s0')",
    "close_period": "SELECT meter.close_period('s0', '2026-01-01Z', '2026-02-01Z', now => '2026-02-02Z')",
    "close_due": "SELECT * FROM meter.close_due()",
    "settle_late_usage": "SELECT meter.settle_late_usage(max(statement_id), 'm', 0, 'waive')"
    " FROM meter.statements('s0')",
    "check_drift": "SELECT meter.check_drift()",
    "erase_subject": "SELECT meter.erase_subject('gone', 'erased')",
    "define_endpoint": "SELECT meter.define_endpoint('ops', 'https://example.com', '{usage.recorded}')",
    "test_endpoint": "SELECT meter.test_endpoint('ops')",
    "plan_deliveries": "SELECT meter.plan_deliveries()",
    "claim_deliveries": "SELECT * FROM meter.claim_deliveries('worker')",
    "settle_deliveries": "SELECT meter.settle_deliveries('worker', '[]')",
    "release_deliveries": "SELECT meter.release_deliveries('worker')",
    "retry_deliveries": "SELECT meter.retry_deliveries()",
    "remove_endpoint": "SELECT meter.remove_endpoint('ops')",
    "set_spike_alert": "SELECT meter.set_spike_alert('m', 3)",
    "judge_spikes": "SELECT meter.judge_spikes()",
    "judge_projections": "SELECT meter.judge_projections()",
    "remove_spike_alert": "SELECT meter.remove_spike_alert('m')",
    "close_home": "SELECT meter.close_home('elsewhere', 's2')",
    "reopen_home": "SELECT meter.reopen_home('elsewhere')",
    "leave_home": "SELECT meter.leave_home((meter.close_home('elsewhere', 's2')).subject)",
    "expect_subject": "SELECT meter.expect_subject('elsewhere', 's2')",
    "admit_subject": "SELECT meter.admit_subject('elsewhere')",
    "grant_access": "SELECT meter.grant_access('pymeter_reader', 'read')",
    "revoke_access": "SELECT meter.revoke_access('pymeter_reader', 'read')",
}
_FUNCTIONS = """
    SELECT DISTINCT proname FROM pg_proc
    WHERE pronamespace = 'meter'::regnamespace AND provolatile = 'v' AND proname !~ '^_' AND prokind = 'f'
"""


class Recorders:
    """Eight sessions that record all the time; ``worst`` is how long the slowest call took."""

    def __init__(self, new_ledger: NewLedger) -> None:
        self.worst = 0.0
        self.count = 0
        self._stop = threading.Event()
        self._tasks = [Task(partial(self._run, new_ledger(f"recorder {n}"), n)) for n in range(RECORDERS)]

    def _run(self, ledger: Ledger, n: int) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            if n % 2:
                ledger.record(f"s{n}", "m", 1, idempotency_key=str(time.monotonic_ns()))
            else:
                ledger.batch([{"subject": f"s{n}", "metric": key, "quantity": 1} for key in ("m", "hot")])
            ledger.record(f"s{n}", "members", member=str(n))
            self.worst = max(self.worst, time.perf_counter() - began)
            self.count += 1
            time.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()
        for task in self._tasks:
            task.result()


@pytest.fixture
def busy(ledger: Ledger, new_ledger: NewLedger) -> Ledger:
    """A ledger with something to do for everybody: strays, stripes and drift, and a reader that is idle."""
    ledger.define("m", "sum")
    ledger.define("hot", "sum", striped=True)
    ledger.define("members", "unique")
    ledger.define("other", "sum")
    for n in range(RECORDERS):
        ledger.record(f"s{n}", "m", 1)
    ledger.record("gone", "members", member="u")
    ledger.record("z", "m", 1)
    ledger.record("z", "m", 1, at=datetime.now(UTC) - timedelta(days=200))
    ledger.tamper("total = 99", "metric = 'm'")
    return ledger


def idle_transaction(new_ledger: NewLedger) -> Ledger:
    """Has asked, and has recorded; does neither commit nor roll back."""
    idle = new_ledger("idle", autocommit=False)
    idle.call("usage", subject="z", metric="m", period="30 days")
    idle.call("events", subject="z")
    idle.record("z", "m", 1)
    idle.record("z", "members", member="u")
    return idle


def worst_wait(new_ledger: NewLedger, call: Callable[[], Any]) -> tuple[float, psycopg.Error | None]:
    recorders = Recorders(new_ledger)
    time.sleep(0.1)
    error = None
    try:
        call()
    except psycopg.Error as failure:
        error = failure
    finally:
        recorders.stop()
    assert recorders.count > 0
    return recorders.worst, error


@pytest.mark.slow
@pytest.mark.parametrize("name", STRONG)
def test_a_call_that_cannot_have_its_lock_gives_up_and_stops_nobody(
    busy: Ledger, new_ledger: NewLedger, name: str
) -> None:
    idle = idle_transaction(new_ledger)
    worst, error = worst_wait(new_ledger, lambda: busy.rows(STRONG[name]))
    assert worst < _WAIT_SECONDS_MAX
    assert isinstance(error, psycopg.errors.LockNotAvailable)
    assert error.diag.message_hint
    if name != "rebuild":
        assert str(idle.connection.info.backend_pid) in str(error.diag.message_detail)
    idle.connection.rollback()
    busy.rows(STRONG[name])
    busy.rebuild()
    assert busy.verify() == []


@pytest.mark.slow
def test_no_other_call_stops_recording(busy: Ledger, new_ledger: NewLedger) -> None:
    assert {row.proname for row in busy.rows(_FUNCTIONS)} - STRONG.keys() - OTHERS.keys() == {
        *("record", "record_batch"),
        *("archive_month", "stage_archive", "restore_archive"),  # tests/archive/test_export_and_recording.py
    }
    busy.execute("DROP ROLE IF EXISTS pymeter_reader; CREATE ROLE pymeter_reader")
    busy.rows("SELECT meter.report_metric('m', 'calls')")
    idle = idle_transaction(new_ledger)
    recorders = Recorders(new_ledger)
    refusals = {}
    for name, statement in OTHERS.items():
        try:
            busy.rows(statement)
        except psycopg.Error as error:
            refusals[name] = error.sqlstate
    recorders.stop()
    idle.connection.rollback()
    busy.execute("DROP ROLE pymeter_reader")
    assert recorders.worst < _WAIT_SECONDS_MAX
    assert refusals.keys() <= {"resolve_push"}, "there is no such push"


@pytest.mark.slow
@pytest.mark.parametrize("name", STRONG)
def test_a_call_has_its_lock_although_eight_record_all_the_time(
    busy: Ledger, new_ledger: NewLedger, name: str
) -> None:
    worst, error = worst_wait(new_ledger, lambda: busy.rows(STRONG[name]))
    assert error is None
    assert worst < _WAIT_SECONDS_MAX


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, "k"])
def test_an_upgrade_that_waits_for_an_open_transaction_stops_nobody(
    busy: Ledger, new_ledger: NewLedger, key: str | None
) -> None:
    """Without a key it holds only the series, for which the upgrade does not wait in a lock."""
    idle = idle_transaction(new_ledger)
    idle.record("z", "m", 1, idempotency_key=key)
    installer = new_ledger("installer", autocommit=False)
    installer.execute("SET search_path = meter, pg_temp")
    waiting = Task(lambda: installer.execute(statements.keep_writers_out()))
    recorders = Recorders(new_ledger)
    time.sleep(1.5)
    recorders.stop()
    assert waiting.running
    assert recorders.count > RECORDERS
    assert recorders.worst < 1
    idle.connection.commit()
    waiting.result()
    assert installer.value("SHOW lock_timeout") == "2s"
    installer.connection.rollback()

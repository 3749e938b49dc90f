"""The reporter, with threads and with tasks: real stripe-python over HTTP, a real database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pymeter import Meter
from pymeter.report import AsyncReporter, BillerRefused, Outcome, Reporter, StripeBiller, Summary
from tests.report.double import fixtures
from tests.report.shop import LIVE, METRIC, Shop, hour, shop

pytest.importorskip("stripe")

__all__ = ["shop"]

double = fixtures.stripe_double

Run = Callable[..., Summary]


@pytest.fixture(params=["threads", "tasks", "coroutines"])
def run(request: pytest.FixtureRequest, shop: Shop) -> Run:
    """``run(key=..., connections=...)``: one run, by each kind of reporter."""
    if request.param == "threads":
        return shop.report

    def run_async(key: str = LIVE, *, timeout: float = 5, **options: Any) -> Summary:
        options.setdefault("clock", shop.now)
        biller: Any = shop.biller(key, timeout=timeout)

        async def once() -> Summary:
            async with shop.async_pool() as pool:
                made = _Coroutines(biller) if request.param == "coroutines" else biller
                return await AsyncReporter(pool, made, **options).run_once()

        return asyncio.run(once())

    return run_async


class _Coroutines:
    """A biller whose methods are coroutines."""

    def __init__(self, biller: StripeBiller) -> None:
        self._biller = biller
        self.rate, self.timeout, self.check = biller.rate, biller.timeout, biller.check

    async def send(self, push: Any) -> Outcome:
        return await asyncio.to_thread(self._biller.send, push)

    async def totals(self, *args: Any) -> Any:
        return await asyncio.to_thread(self._biller.totals, *args)

    async def failures(self, *args: Any) -> Any:
        return await asyncio.to_thread(self._biller.failures, *args)

    async def failure(self, *args: Any) -> Any:
        return await asyncio.to_thread(self._biller.failure, *args)


def test_a_run_reports_all_usage_once_in_its_own_hour(shop: Shop, run: Run) -> None:
    shop.use_many(customers=12, hours=3)
    shop.use("cus_1", Decimal("0.000001"), hours=1)
    summary = run()
    assert summary.exit_status == 0
    assert summary.tally.delivered == summary.tally.calls == 36
    assert shop.states() == {"delivered": 36}
    shop.assert_reported()
    assert run().tally.calls == 0


def test_what_comes_later_is_a_push_of_its_own(shop: Shop, run: Run) -> None:
    shop.use(quantity=5, hours=2)
    run()
    shop.use(quantity=7, hours=2)
    run()
    assert [push.value for push in shop.pushes("delivered")] == [5, 7]
    shop.assert_reported()


@pytest.mark.parametrize(
    "fault", ["drop_before", "drop_after", "half_response", "error_before", "error_after"]
)
def test_an_attempt_without_an_answer_is_made_again_under_the_same_identifier(
    shop: Shop, run: Run, fault: str
) -> None:
    shop.double.fault(fault)
    shop.use(hours=1)
    summary = run()
    assert (summary.exit_status, summary.tally.delivered, summary.tally.unknown) == (0, 1, 1)
    (push,) = shop.pushes()
    assert push.attempts == 2
    assert shop.double.counters()["sent_repeatedly"] == {push.identifier: 2}
    shop.assert_reported()


def test_a_timeout_is_an_attempt_without_an_answer(shop: Shop, run: Run) -> None:
    shop.double.fault("slow_after", delay=1)
    shop.use(hours=1)
    summary = run(timeout=0.3)
    assert (summary.tally.unknown, summary.tally.duplicates) == (1, 1)
    shop.assert_reported()


@pytest.mark.parametrize("fault", [{"kind": "rate_limited"}, {"kind": "error_before", "status": 409}])
def test_an_attempt_that_was_certainly_not_counted_is_made_again(
    shop: Shop, run: Run, fault: dict[str, Any]
) -> None:
    shop.double.fault(**fault)
    shop.use(hours=1)
    summary = run()
    assert (summary.exit_status, summary.tally.delivered, summary.tally.not_applied) == (0, 1, 1)
    (push,) = shop.pushes()
    assert (push.state, push.unsure_attempts) == ("delivered", 0)
    shop.assert_reported()


def test_a_429_slows_all_connections(shop: Shop) -> None:
    shop.use_many(customers=30, hours=1)
    shop.double.settings(rate_limit={"live": 40})
    summary = shop.report(connections=8, patience=timedelta(seconds=20))
    assert summary.tally.delivered == 30
    shop.use_many(customers=60, hours=1)
    summary = shop.report(connections=8, rate=200, patience=timedelta(seconds=20))
    assert summary.tally.delivered == 60
    # One call of each connection may have been on its way when the first was refused, and so each time later.
    assert 0 < summary.tally.throttled <= 24
    assert summary.tally.seconds_waited > 0
    shop.assert_reported()


def test_what_the_biller_refuses_does_not_keep_others_back(shop: Shop, run: Run) -> None:
    shop.double.settings(unknown_customers=["cus_gone"])
    shop.use("cus_gone", hours=1)
    shop.add_metric("nameless")
    shop.meter.report_metric("nameless", "no_such_meter")
    shop.use("cus_2", hours=1, metric="nameless")
    shop.use("cus_3", hours=1)
    summary = run()
    assert summary.exit_status == 1
    assert shop.states() == {"rejected": 2, "delivered": 1}
    assert {push.customer: (push.error or "")[:21] for push in shop.pushes("rejected")} == {
        "cus_gone": "400 resource_missing:",
        "cus_2": "400: No active meter ",
    }


def test_what_was_refused_is_sent_anew_when_the_cause_is_gone(shop: Shop, run: Run) -> None:
    shop.double.settings(unknown_customers=["cus_1"])
    shop.use(hours=1)
    assert run().exit_status == 1
    shop.double.settings(unknown_customers=[])
    assert len(shop.meter.retry_pushes()) == 1
    assert run().exit_status == 0
    shop.assert_reported()


@pytest.mark.parametrize("settings", [{"keys": ["sk_live_other"]}, {"forbidden_keys": [LIVE]}])
def test_a_key_that_is_not_accepted_ends_the_run_and_marks_nothing(
    shop: Shop, run: Run, settings: dict[str, Any]
) -> None:
    shop.double.settings(**settings)
    shop.use_many(customers=40, hours=2)
    with pytest.raises(BillerRefused):
        run()
    assert shop.states() == {"planned": 80}
    assert all(push.unsure_attempts == 0 and push.unsure_since is None for push in shop.pushes())
    # Only the calls that were under way when the first was refused.
    assert (
        shop.double.counters()["unauthorized"]
        + shop.double.counters()["requests"].get("create_meter_event", {}).get("403", 0)
        <= 16
    )
    shop.double.settings(keys=None, forbidden_keys=[])
    assert run().tally.delivered == 80
    shop.assert_reported()


def test_without_a_key_nothing_is_even_planned(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRIPE_API_KEY", "STRIPE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    shop.use(hours=1)
    with pytest.raises(BillerRefused, match="no Stripe API key"):
        Reporter(shop.pool(), StripeBiller(base=shop.double.url)).run_once()
    assert shop.states() == {"unplanned": 1}


def test_a_biller_that_is_not_there_is_status_2_and_nothing_is_lost(shop: Shop, run: Run) -> None:
    shop.double.refuse_connections()
    shop.use(hours=1)
    summary = run(patience=timedelta())
    assert (summary.unreachable, summary.exit_status) == (True, 2)
    assert shop.states() == {"planned": 1}
    shop.double.accept_connections()
    shop.pass_time(minutes=2)
    assert run().exit_status == 0
    shop.assert_reported()


def test_a_database_that_is_lost_ends_the_run_with_its_own_error(shop: Shop, run: Run) -> None:
    shop.use(hours=1)
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        connection.execute("ALTER FUNCTION meter.claim_pushes RENAME TO claim_pushes_gone")
    with pytest.raises(Exception, match="claim_pushes"):
        run()
    assert shop.states() == {"planned": 1}


def test_a_connection_pool_is_needed(shop: Shop) -> None:
    with psycopg.connect(shop.dsn) as connection, pytest.raises(TypeError, match="pool"):
        Reporter(connection, shop.biller())  # type: ignore[arg-type]


def test_a_customer_that_never_answers_does_not_keep_others_waiting(shop: Shop) -> None:
    """Its calls take until the timeout; the others' are all over long before."""
    shop.double.fault("slow_before", customer="cus_0", times=None, delay=3)
    shop.use_many(customers=40, hours=5)
    began = time.monotonic()
    done: dict[str, float] = {}

    def watch() -> None:
        while len(done) < 39 and time.monotonic() - began < 20:
            for customer, _, _ in shop.sent():
                done.setdefault(customer, time.monotonic() - began)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    summary = shop.report(timeout=1.0, connections=4, patience=timedelta())
    watcher.join()
    assert summary.tally.unknown >= 1
    assert len(done) == 39
    # One connection of four was held up.
    assert max(done.values()) < 1.0 + max(1.0, 2 * 195 / 100)
    assert shop.states().keys() == {"delivered", "planned"}


def test_one_customers_calls_are_never_two_at_a_time(shop: Shop, run: Run) -> None:
    shop.double.settings(latency=0.01)
    shop.use_many(customers=3, hours=20)
    assert run(connections=8).tally.delivered == 60
    assert shop.double.counters()["conflicts"] == 0
    shop.assert_reported()


@pytest.mark.parametrize("reporters", [2, 8])
def test_reporters_at_the_same_time_send_nothing_twice(shop: Shop, reporters: int) -> None:
    shop.double.settings(latency=0.002)
    shop.use_many(customers=25, hours=8)
    made = [shop.reporter(connections=3) for _ in range(reporters)]
    threads = [threading.Thread(target=reporter.run_once) for reporter in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.states() == {"delivered": 200}
    counters = shop.double.counters()
    assert (counters["conflicts"], counters["sent_repeatedly"]) == (0, {})
    shop.assert_reported()


# --- past the window ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_what_nobody_knows_of_is_never_sent_again_after_its_window(shop: Shop, run: Run, fault: str) -> None:
    """It is resolved from totals: found, or missing for a day and then sent under another identifier."""
    shop.use(quantity=3, hours=1)
    shop.use("cus_2", hours=1)
    rule = shop.double.fault(fault, times=None, customer="cus_1")
    run(patience=timedelta())
    shop.double.clear_faults(rule)
    (unknown,) = shop.pushes("planned")
    shop.pass_time(hours=25)
    run()
    if fault == "drop_before":
        assert run().exit_status == 1
        assert shop.states() == {"delivered": 1, "uncertain": 1}
        shop.pass_time(hours=25)
        run()
        assert shop.states() == {"delivered": 2, "replaced": 1}
    assert shop.double.counters()["sent_repeatedly"] == {}
    assert all(
        event["identifier"] != unknown.identifier for event in shop.double.events() if fault == "drop_before"
    )
    shop.assert_reported()


def test_totals_that_lag_do_not_make_a_push_missing(shop: Shop) -> None:
    shop.double.fault("drop_after")
    shop.use(quantity=3, hours=1)
    shop.report(patience=timedelta())
    shop.double.settings(visibility_delay=30 * 3600)
    shop.pass_time(hours=25)
    assert shop.report().exit_status == 1
    shop.pass_time(hours=12)
    shop.report()
    assert shop.states() in ({"resolved": 1}, {"uncertain": 1})
    shop.pass_time(hours=13)
    assert shop.report().exit_status == 0
    assert shop.states() == {"resolved": 1}
    shop.assert_reported()


def test_totals_that_cannot_be_read_leave_it_uncertain(shop: Shop, run: Run) -> None:
    shop.double.fault("drop_after")
    shop.use(hours=1)
    run(patience=timedelta())
    shop.pass_time(hours=25)
    shop.double.settings(read_budget=0)
    summary = run()
    assert (summary.exit_status, summary.tally.troubles > 0) == (1, True)
    assert shop.states() == {"uncertain": 1}


# --- what failed later --------------------------------------------------------------------------------------


def test_what_failed_after_it_was_accepted_becomes_rejected(shop: Shop, run: Run) -> None:
    shop.double.settings(asynchronous=["meter_event_customer_not_found"], unknown_customers=["cus_gone"])
    shop.use("cus_gone", hours=1)
    shop.use("cus_2", hours=1)
    summary = run()
    assert (summary.exit_status, summary.tally.failed) == (1, 1)
    (push,) = shop.pushes("rejected")
    assert (push.customer, push.error) == ("cus_gone", "meter_event_customer_not_found")
    assert run().tally.failed == 0


def test_a_report_with_several_codes_marks_each_push_with_its_own(shop: Shop) -> None:
    shop.use_many(customers=2, hours=1)
    for number, code in enumerate(["meter_event_invalid_value", "archived_meter"]):
        shop.double.fault("reject_later", customer=f"cus_{number}", code=code)
    shop.report()
    assert {push.customer: push.error for push in shop.pushes("rejected")} == {
        "cus_0": "meter_event_invalid_value",
        "cus_1": "archived_meter",
    }


# --- comparing ----------------------------------------------------------------------------------------------


def test_what_the_biller_lost_is_found_by_comparing(shop: Shop) -> None:
    shop.use_many(customers=5, hours=30, quantity=2)
    shop.double.fault("lose", customer="cus_3", skip=4)
    shop.report()
    shop.pass_time(hours=26)
    reporter = shop.reporter()
    found = reporter.reconcile(step="day")
    (row,) = found.different
    assert (row.customer, row.event_name, row.step) == ("cus_3", METRIC, "day")
    assert row.difference is not None
    assert row.difference < 0
    assert found.reads == 5
    by_hour = reporter.reconcile(step="hour")
    (exact,) = by_hour.different
    assert exact.difference == row.difference
    assert len(by_hour.compared) == 150
    assert shop.meter.reconciliation() != []


def test_equal_totals_are_no_difference_whatever_their_form(shop: Shop) -> None:
    shop.double.settings(empty_windows="zero", summary_order="oldest")
    for _ in range(7):
        shop.use(quantity=Decimal("0.1"), hours=1)
    shop.report()
    shop.pass_time(days=2)
    found = shop.reporter().reconcile(step="hour")
    assert (len(found.compared), found.different) == (1, [])


@pytest.mark.parametrize("reads", [101, 100_000])
def test_a_reconciliation_may_read_as_often_as_is_asked_for(shop: Shop, reads: int) -> None:
    shop.use("x" * 512, hours=30)
    shop.use(hours=30)
    shop.report()
    found = shop.reporter().reconcile(reads=reads)
    assert (len(found.compared), found.different) == (1, [])
    assert {row.state for row in shop.meter.report_status() if row.pushes} == {"delivered", "unmapped"}


def test_reads_are_bounded(shop: Shop) -> None:
    shop.use_many(customers=9, hours=2)
    shop.report()
    shop.pass_time(days=2)
    found = shop.reporter().reconcile(reads=4)
    assert found.reads == 4
    assert len({row.customer for row in found.compared}) == 4
    # The next looks at the others first.
    again = shop.reporter().reconcile(reads=4)
    assert not {row.customer for row in found.compared} & {row.customer for row in again.compared}


# --- watching and stopping ----------------------------------------------------------------------------------


def test_watching_reports_what_comes_until_it_is_stopped(shop: Shop) -> None:
    reporter = shop.reporter()
    watching = threading.Thread(target=reporter.watch, args=(0.05,), kwargs={"open_hours": True})
    watching.start()
    for number in range(3):
        shop.use(f"cus_{number}")
        _until(lambda number=number: len(shop.sent()) == number + 1)
    reporter.stop()
    watching.join(10)
    assert not watching.is_alive()
    shop.assert_reported()


def test_watching_leaves_the_open_hour_for_later(shop: Shop) -> None:
    now = hour(shop.now()) + timedelta(minutes=30)
    if hour(shop.now()).day != (hour(shop.now()) + timedelta(hours=2)).day:
        now -= timedelta(hours=3)
    shop.set_clock(now)
    shop.use(quantity=1, minutes=1)
    shop.use(quantity=2, hours=1)
    reporter = shop.reporter()
    watching = threading.Thread(target=reporter.watch, args=(0.05,))
    watching.start()
    _until(lambda: len(shop.sent()) == 1)
    time.sleep(0.2)
    reporter.stop()
    watching.join()
    assert [push.value for push in shop.pushes()] == [2]


def test_watching_outlives_a_database_that_is_away(shop: Shop) -> None:
    reporter = shop.reporter()
    watching = threading.Thread(target=reporter.watch, args=(0.05,), kwargs={"open_hours": True})
    watching.start()
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        for _ in range(5):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            time.sleep(0.05)
        Meter(connection).record("cus_9", METRIC, 1, at=shop.now() - timedelta(hours=1))
    _until(lambda: len(shop.sent()) == 1)
    reporter.stop()
    watching.join(10)
    assert not watching.is_alive()


def test_watching_ends_when_the_key_is_refused(shop: Shop) -> None:
    shop.double.settings(keys=["sk_live_other"])
    shop.use(hours=1)
    with pytest.raises(BillerRefused):
        shop.reporter().watch(0.05)


def test_what_is_in_flight_when_it_is_stopped_is_settled(shop: Shop) -> None:
    shop.use_many(customers=10, hours=2)
    rule = shop.double.fault("hold_after", times=3)
    reporter = shop.reporter(connections=3)
    running = threading.Thread(target=reporter.run_once)
    running.start()
    shop.double.wait_until_held(3)
    reporter.stop()
    shop.double.release(rule)
    running.join(10)
    assert not running.is_alive()
    states = shop.states()
    assert states == {"delivered": 3, "planned": 17}
    assert all(push.unsure_attempts == 0 for push in shop.pushes())
    # At once, by another.
    assert shop.report().tally.delivered == 17
    shop.assert_reported()


def test_a_task_that_is_cancelled_settles_what_is_in_flight(shop: Shop) -> None:
    shop.use_many(customers=10, hours=2)
    rule = shop.double.fault("hold_after", times=3)

    async def cancelled() -> None:
        async with shop.async_pool() as pool:
            task = asyncio.create_task(
                AsyncReporter(pool, shop.biller(), clock=shop.now, connections=3).run_once()
            )
            await asyncio.to_thread(shop.double.wait_until_held, 3)
            task.cancel()
            await asyncio.sleep(0.05)
            shop.double.release(rule)
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert shop.states() == {"delivered": 3, "planned": 17}
    shop.report()
    shop.assert_reported()


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)

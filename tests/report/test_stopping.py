"""However a run is ended, what is in flight is settled first; and it may be started wherever it is called."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import psycopg
import pytest

from pymeter.report import AsyncReporter, Observer, Outcome, Reporter
from tests.report.double import fixtures
from tests.report.shop import Shop, shop

pytest.importorskip("stripe")

__all__ = ["shop"]

double = fixtures.stripe_double
_HELD = 3


class _Held:
    """Twenty pushes, three of whose calls are held by the biller."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        shop.use_many(customers=10, hours=2)
        self._rule = shop.double.fault("hold_after", times=_HELD)

    def wait(self) -> None:
        self.shop.double.wait_until_held(_HELD)

    def release(self) -> None:
        self.shop.double.release(self._rule)

    def assert_settled(self) -> None:
        assert self.shop.states() == {"delivered": _HELD, "planned": 20 - _HELD}
        assert all(push.unsure_attempts == 0 for push in self.shop.pushes())
        assert self.shop.report().tally.delivered == 20 - _HELD
        self.shop.assert_reported()


@pytest.fixture
def held(shop: Shop) -> _Held:
    return _Held(shop)


@pytest.mark.parametrize("presses", [1, 3])
def test_ctrl_c_settles_what_is_in_flight_however_often_it_is_pressed(held: _Held, presses: int) -> None:
    if (main := threading.current_thread()) is not threading.main_thread():
        pytest.skip("Ctrl-C comes to the main thread")

    def press() -> None:
        held.wait()
        for _ in range(presses):
            assert main.ident is not None
            signal.pthread_kill(main.ident, signal.SIGINT)
            time.sleep(0.2)
        held.release()

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        held.shop.reporter(connections=_HELD).run_once()
    pressing.join()
    held.assert_settled()


@pytest.mark.parametrize("cancels", [1, 3])
def test_a_task_that_is_cancelled_more_than_once_settles_what_is_in_flight(held: _Held, cancels: int) -> None:
    async def run() -> None:
        async with held.shop.async_pool() as pool:
            reporter = AsyncReporter(pool, held.shop.biller(), clock=held.shop.now, connections=_HELD)
            task = asyncio.create_task(reporter.run_once())
            await asyncio.to_thread(held.wait)
            for _ in range(cancels):
                task.cancel()
                await asyncio.sleep(0.05)
            assert not task.done()
            held.release()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    held.assert_settled()


def test_a_time_limit_of_anyio_settles_what_is_in_flight(held: _Held) -> None:
    async def run() -> None:
        async with held.shop.async_pool() as pool, anyio.create_task_group() as group:
            reporter = AsyncReporter(pool, held.shop.biller(), clock=held.shop.now, connections=_HELD)
            group.start_soon(reporter.run_once)
            await asyncio.to_thread(held.wait)
            threading.Timer(0.3, held.release).start()
            group.cancel_scope.cancel()

    asyncio.run(run())
    held.assert_settled()


@pytest.mark.parametrize("from_thread", [True, False])
def test_stop_may_be_called_from_a_thread_or_from_the_loop(held: _Held, from_thread: bool) -> None:
    async def run() -> None:
        async with held.shop.async_pool() as pool:
            reporter = AsyncReporter(pool, held.shop.biller(), clock=held.shop.now, connections=_HELD)
            task = asyncio.create_task(reporter.run_once())
            await asyncio.to_thread(held.wait)
            if from_thread:
                await asyncio.to_thread(reporter.stop)
            else:
                reporter.stop()
            held.release()
            assert (await task).tally.delivered == _HELD

    asyncio.run(run())
    held.assert_settled()


def test_a_reporter_that_was_stopped_begins_nothing(shop: Shop) -> None:
    shop.use(hours=1)
    reporter = shop.reporter()
    reporter.stop()
    assert reporter.run_once().tally.calls == 0
    assert reporter.watch(60).tally.calls == 0


def test_a_reporter_runs_where_an_event_loop_is_running(shop: Shop) -> None:
    """In a notebook, or in a coroutine that may block."""
    shop.use_many(customers=3, hours=2)

    async def run() -> None:
        assert shop.report().tally.delivered == 6

    asyncio.run(run())
    shop.assert_reported()


def test_an_observer_that_fails_ends_the_run_with_its_error(shop: Shop) -> None:
    class Failing(Observer):
        def sent(self, outcome: Outcome, seconds: float) -> None:
            raise RuntimeError("this observer is broken")

    shop.use_many(customers=10, hours=1)
    with pytest.raises(RuntimeError, match="broken"):
        shop.report(observers=[Failing()], connections=2)
    assert shop.report(clock=lambda: shop.now() + timedelta(minutes=5)).exit_status == 0
    shop.assert_reported()


def test_watching_waits_longer_after_every_round_that_failed(shop: Shop) -> None:
    class Troubles(Observer):
        def __init__(self) -> None:
            self.times: list[float] = []

        def trouble(self, message: str) -> None:
            self.times.append(time.monotonic())

    shop.use(hours=1)
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        # An error that another round may not meet, in the middle of the pipeline.
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not now'; END $$;"
            " CREATE TRIGGER refuse BEFORE UPDATE ON meter.pushes EXECUTE FUNCTION refuse()"
        )
        troubles = Troubles()
        reporter = shop.reporter(observers=[troubles])
        watching = threading.Thread(target=reporter.watch, args=(0.01,), kwargs={"open_hours": True})
        watching.start()
        _until(lambda: len(troubles.times) >= 3)
        connection.execute("DROP TRIGGER refuse ON meter.pushes")
        _until(lambda: bool(shop.sent()))
        reporter.stop()
        watching.join(10)
    assert not watching.is_alive()
    shop.assert_reported()
    first, second, third = troubles.times[:3]
    assert second - first >= 0.9
    assert third - second >= 1.9


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_the_extra_is_needed_by_a_reporter_alone() -> None:
    """What only shows how things stand, and a biller of one's own, need none of its packages."""
    program = """
import sys
for name in ("anyio", "stamina", "stripe", "psycopg_pool"):
    sys.modules[name] = None
import pymeter, pymeter.report.observing, pymeter.cli.reporting, pymeter.cli.reporting.display
from pymeter.report import Outcome, StripeBiller, Summary
try:
    from pymeter.report import Reporter
except ModuleNotFoundError as error:
    assert error.name in ("anyio", "stamina"), error
else:
    raise AssertionError("it was loaded")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_order_of_a_lane_survives_any_number_of_connections(shop: Shop) -> None:
    sent: list[Any] = []
    lock = threading.Lock()

    class Biller:
        rate, timeout = 1000.0, 5.0

        def check(self) -> None: ...

        def send(self, push: Any) -> Outcome:
            with lock:
                sent.append(push)
            return Outcome("delivered")

        def totals(self, *_: Any) -> Any:
            return []

        def failures(self, *_: Any) -> Any:
            return []

        def failure(self, *_: Any) -> Any:
            return None

    shop.use_many(customers=7, hours=9)
    Reporter(shop.pool(), Biller(), connections=5, clock=shop.now).run_once()
    assert len(sent) == 63
    for customer in {push.customer for push in sent}:
        of_lane = [push.stamped_at for push in sent if push.customer == customer]
        assert of_lane == sorted(of_lane)

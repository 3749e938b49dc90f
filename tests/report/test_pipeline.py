"""The parts of the pipeline by themselves, with a journal that answers what the test says."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import anyio
import psycopg
import pytest
import stamina

from pymeter import calls
from pymeter.calls import Call
from pymeter.report import Outcome, Reporter
from pymeter.report import core as core_module
from pymeter.report.core import Core
from pymeter.report.delivery import Delivery, Result
from pymeter.report.options import Options
from pymeter.report.settling import SETTLE_NOW, settle_results

Answer = Callable[[Call[Any]], Any]


class _Journal:
    """A meter whose calls are noted, and answered by the test."""

    def __init__(self, answer: Answer = lambda _: []) -> None:
        self.answer = answer
        self.calls: list[Call[Any]] = []

    async def _run(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        return self.answer(call)

    def settled(self) -> list[list[int]]:
        return [
            [result["push_id"] for result in json.loads(call.params["results"].obj)]
            for call in self.calls
            if call.function == "settle_pushes"
        ]


class _Biller:
    rate, timeout = 1000.0, 1.0

    def check(self) -> None: ...

    def send(self, push: Any) -> Outcome:
        return Outcome("delivered")

    def totals(self, *_: Any) -> Any: ...

    def failures(self, *_: Any) -> Any: ...

    def failure(self, *_: Any) -> Any: ...


def _core(journal: Any) -> Core:
    return Core(Options(connections=2), journal, _Biller())


def _results(numbers: range) -> list[Result | None]:
    return [{"push_id": number, "attempt": 1, "outcome": "delivered"} for number in numbers]


def _settle(journal: _Journal, send: Callable[[Callable[[Any], Awaitable[None]]], Awaitable[None]]) -> Core:
    """Settle what the test sends."""

    async def run() -> Core:
        core = _core(journal)
        to_results, results = anyio.create_memory_object_stream[Result | None](1000)
        async with anyio.create_task_group() as group:
            group.start_soon(settle_results, Delivery(core), results)
            async with to_results:
                await send(to_results.send)
        return core

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_module, "_RETRY_SECONDS", 0.01)


def test_results_are_settled_in_batches() -> None:
    async def send(to: Callable[[Any], Awaitable[None]]) -> None:
        for result in _results(range(450)):
            await to(result)

    journal = _Journal()
    _settle(journal, send)
    assert [len(batch) for batch in journal.settled()] == [200, 200, 50]
    assert list(chain.from_iterable(journal.settled())) == list(range(450))


def test_a_batch_is_settled_when_it_is_old_or_when_a_sender_has_no_work() -> None:
    async def send(to: Callable[[Any], Awaitable[None]]) -> None:
        for result in _results(range(3)):
            await to(result)
        await anyio.sleep(0.8)
        for result in [*_results(range(3, 5)), SETTLE_NOW]:
            await to(result)
        await anyio.sleep(0.2)
        assert journal.settled() == [[0, 1, 2], [3, 4]]
        await to(SETTLE_NOW)

    journal = _Journal()
    _settle(journal, send)
    assert journal.settled() == [[0, 1, 2], [3, 4]]


def test_a_batch_that_cannot_be_settled_is_kept_and_tried_until_the_end() -> None:
    broken = [True]

    def answer(_: Call[Any]) -> Any:
        if broken[0]:
            raise psycopg.errors.RaiseException("not now")
        return []

    async def send(to: Callable[[Any], Awaitable[None]]) -> None:
        for result in [*_results(range(300)), SETTLE_NOW]:
            await to(result)
        await anyio.sleep(0.2)
        broken[0] = False

    journal = _Journal(answer)
    core = _settle(journal, send)
    assert isinstance(core.failure, psycopg.errors.RaiseException)
    assert journal.settled()[0] == list(range(200))
    assert journal.settled()[-1] == list(range(300))


@contextmanager
def _stamina(*, active: bool) -> Iterator[None]:
    before = stamina.is_active()
    stamina.set_active(active)
    try:
        yield
    finally:
        stamina.set_active(before)


@pytest.mark.parametrize(("active", "tries"), [(True, 3), (False, 2)])
def test_a_database_that_is_away_is_asked_again(active: bool, tries: int) -> None:
    """An application that has switched stamina off has one try less."""

    def answer(_: Call[Any]) -> Any:
        raise psycopg.OperationalError("gone")

    async def run(journal: _Journal) -> None:
        core = _core(journal)
        with pytest.raises(psycopg.OperationalError):
            await core.ask(calls.claim_pushes("stripe", "worker"))
        assert core.tally.troubles == 2

    journal = _Journal(answer)
    with _stamina(active=active):
        asyncio.run(run(journal))
    assert len(journal.calls) == tries


def test_a_wait_ends_when_another_thread_stops_the_run() -> None:
    async def run() -> float:
        core = _core(_Journal())
        threading.Timer(0.1, core.stop).start()
        began = time.monotonic()
        await core.sleep(30)
        return time.monotonic() - began

    assert asyncio.run(run()) < 10


def test_calls_in_turn_are_in_one_thread_if_all_block_and_awaited_if_not() -> None:
    class Blocking:
        def _run(self, call: Any) -> int:
            return threading.get_ident()

    async def both(call: Any) -> tuple[int, int]:
        return await call(journal._run, None), await call(threading.get_ident)

    async def run() -> tuple[int, int, int]:
        first, second = await _core(journal).call_in_turn(both)
        return first, second, threading.get_ident()

    journal: Any = Blocking()
    first, second, loop = asyncio.run(run())
    assert first == second != loop
    journal = _Journal(lambda _: threading.get_ident())
    first, second, loop = asyncio.run(run())
    assert first == loop != second


def test_a_reporter_that_cannot_begin_says_why() -> None:
    class Pool:
        @contextmanager
        def connection(self) -> Iterator[Any]:
            yield None

    class Slow(_Biller):
        timeout = 1000.0

    with pytest.raises(ValueError, match="lease"):
        Reporter(Pool(), Slow()).run_once()

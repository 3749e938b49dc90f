"""The two reporters: what :mod:`pymeter.report.programs` asks for, done with threads or with tasks."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import psycopg

from pymeter._source import check_source
from pymeter.async_client import AsyncConnectionPool, AsyncMeter
from pymeter.client import ConnectionPool, Meter
from pymeter.models import ReportStep
from pymeter.program_connection import AsyncProgramPool, ProgramPool
from pymeter.report import programs
from pymeter.report.asking import Comparison
from pymeter.report.biller import AsyncBiller, Biller
from pymeter.report.clocks import Clocks
from pymeter.report.core import Clock, Core, Options
from pymeter.report.observing import Observer, Summary
from pymeter.report.steps import (
    Ask,
    AskCountingSince,
    AskFailure,
    AskFailures,
    AskTotals,
    Request,
    Send,
    Sleep,
    Steps,
    Together,
)

T = TypeVar("T")
B = TypeVar("B", bound=Biller | AsyncBiller)


class _Base(Generic[B]):
    """Reports usage to a biller, every unit once.

    `pool` lends database connections (two or three are enough); `biller` makes the calls. `biller_name` is
    the biller's name in the database: another one is another journal. `connections` is how many calls are
    made at the same time, `rate` how many a second (the biller's own rate unless given). `lease` is how long
    what was claimed is this process's alone, `patience` how long a round goes on without any delivery or
    rejection, and waits for what has to be sent again, `reads_a_day` how many totals `watch` asks for only to
    compare them. `clock` replaces the clock of the database, for tests; `observers` receive every event.

    A `biller_name` that ends in ``_shadow`` is a rehearsal: only a biller whose `test_mode` is True is
    called.

    Any number of reporters may run at the same time, also of different kinds.
    """

    _asynchronous = False

    def __init__(
        self,
        pool: Any,
        biller: B,
        *,
        biller_name: str = "stripe",
        schema: str = "meter",
        connections: int = 16,
        rate: float | None = None,
        lease: timedelta = timedelta(minutes=2),
        patience: timedelta = timedelta(seconds=60),
        reads_a_day: float = 150.0,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        if isinstance(pool, psycopg.Connection | psycopg.AsyncConnection):
            # What is claimed has to be committed before it is sent.
            raise TypeError(f"{type(self).__name__} takes a pool: it commits by itself, what it must")
        check_source(pool, type(self).__name__, asynchronous=self._asynchronous)
        self.biller = biller
        self.options = Options(
            biller_name=biller_name,
            schema=schema,
            connections=connections,
            rate=rate,
            lease=lease,
            patience=patience,
            reads_a_day=reads_a_day,
            clock=clock,
        )
        self.observers = tuple(observers)
        self.clocks = Clocks()
        self._running: list[Core] = []
        self._stopped = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(biller={self.biller!r}, biller_name={self.options.biller_name!r})"

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """Settle what is in flight, begin nothing more, and return. For a signal's handler; never blocks."""
        self._stopped = True
        for core in list(self._running):
            core.stop()

    def _begin(self) -> Core:
        core = Core(self.options, self.biller, self.observers, clocks=self.clocks)
        core.stopped = self._stopped
        self._running.append(core)
        return core


class Reporter(_Base[Biller]):
    __doc__ = f"""{_Base.__doc__}

        with psycopg_pool.ConnectionPool(dsn) as pool:
            Reporter(pool, StripeBiller()).run_once()
    """

    def __init__(self, pool: ConnectionPool, biller: Biller, **options: Any) -> None:
        super().__init__(pool, biller, **options)
        # The default of a server that is read only is kept: it may be a standby, or its disk full.
        self._meter = Meter(ProgramPool(pool), schema=self.options.schema)

    def run_once(self, *, open_hours: bool = True) -> Summary:
        """Plan and send all that is due, and resolve what can be resolved.

        Without `open_hours` the hour that is still open is left for later. Raises BillerRefused when there
        is no key or it is not accepted (nothing is marked then), and what psycopg raises.
        """
        return self._run(lambda core: programs.once(core, open_hours=open_hours))

    def watch(self, interval: float = 60.0, *, open_hours: bool = False) -> Summary:
        """Report every `interval` seconds, until `stop` is called. A lost connection is waited for.

        Raises BillerRefused when there is no key or it is not accepted.
        """
        return self._run(lambda core: programs.watch(core, interval=interval, open_hours=open_hours))

    def reconcile(
        self,
        step: ReportStep = "day",
        *,
        reads: int = 100,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Comparison:
        """Compare what was delivered with the biller's totals, the most pressing first, in so many reads."""
        return self._run(
            lambda core: programs.reconcile(core, step=step, reads_max=reads, since=since, until=until)
        )

    def take_in(self, event_id: str) -> int:
        """Take in the biller's error report of that id, once; returns how many pushes became rejected."""
        return self._run(lambda core: programs.take_in_event(core, event_id))

    # --- the I/O --------------------------------------------------------------------------------------------

    def _run(self, program: Callable[[Core], Steps[T]]) -> T:
        core = self._begin()
        halted = threading.Event()
        core.on_halt.append(halted.set)
        try:
            return self._drive(core, halted, program(core))
        finally:
            self._running.remove(core)

    def _drive(self, core: Core, halted: threading.Event, steps: Steps[T]) -> T:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                request = steps.throw(error) if error else steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer, error = None, None
            try:
                answer = self._do(core, halted, request)
            except BaseException as failure:
                error = failure

    def _do(self, core: Core, halted: threading.Event, request: Request) -> Any:
        match request:
            case Ask(call):
                return self._meter._run(call)
            case Send(push):
                return self.biller.send(push)
            case Sleep(seconds):
                return halted.wait(seconds)
            case Together(parts):
                return self._together(core, halted, parts)
            case AskTotals(customer, event_name, since, until, step):
                return self.biller.totals(customer, event_name, since, until, step)
            case AskCountingSince(event_name):
                method = getattr(self.biller, "counting_since", None)
                return method(event_name) if method else None
            case AskFailures(since):
                return self.biller.failures(since)
            case AskFailure(event_id):
                return self.biller.failure(event_id)

    def _together(self, core: Core, halted: threading.Event, parts: Sequence[Steps[None]]) -> None:
        def run(part: Steps[None]) -> None:
            try:
                self._drive(core, halted, part)
            except BaseException as error:
                core.fail(error)

        threads = [threading.Thread(target=run, args=(part,), name="pymeter-report") for part in parts]
        for thread in threads:
            thread.start()
        interrupted: BaseException | None = None
        for thread in threads:
            while thread.is_alive():
                try:
                    thread.join()
                except BaseException as error:  # Ctrl-C: what is in flight is settled first
                    interrupted = error
                    core.stop()
        if interrupted is not None:
            raise interrupted


class AsyncReporter(_Base[Biller | AsyncBiller]):
    __doc__ = f"""{_Base.__doc__}

    A `biller` whose methods block, such as StripeBiller, is called in threads of the reporter's own.

        async with psycopg_pool.AsyncConnectionPool(dsn) as pool:
            await AsyncReporter(pool, StripeBiller()).run_once()
    """
    _asynchronous = True

    def __init__(self, pool: AsyncConnectionPool, biller: Biller | AsyncBiller, **options: Any) -> None:
        super().__init__(pool, biller, **options)
        self._meter = AsyncMeter(AsyncProgramPool(pool), schema=self.options.schema)

    async def run_once(self, *, open_hours: bool = True) -> Summary:
        """Plan and send all that is due, and resolve what can be resolved.

        Without `open_hours` the hour that is still open is left for later. Raises BillerRefused when there
        is no key or it is not accepted (nothing is marked then), and what psycopg raises. When it is
        cancelled, what is in flight is settled first.
        """
        return await self._run(lambda core: programs.once(core, open_hours=open_hours))

    async def watch(self, interval: float = 60.0, *, open_hours: bool = False) -> Summary:
        """Report every `interval` seconds, until `stop` is called. A lost connection is waited for.

        Raises BillerRefused when there is no key or it is not accepted.
        """
        return await self._run(lambda core: programs.watch(core, interval=interval, open_hours=open_hours))

    async def reconcile(
        self,
        step: ReportStep = "day",
        *,
        reads: int = 100,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Comparison:
        """Compare what was delivered with the biller's totals, the most pressing first, in so many reads."""
        return await self._run(
            lambda core: programs.reconcile(core, step=step, reads_max=reads, since=since, until=until)
        )

    async def take_in(self, event_id: str) -> int:
        """Take in the biller's error report of that id, once; returns how many pushes became rejected."""
        return await self._run(lambda core: programs.take_in_event(core, event_id))

    # --- the I/O --------------------------------------------------------------------------------------------

    async def _run(self, program: Callable[[Core], Steps[T]]) -> T:
        core = self._begin()
        tasks = _Tasks(self._meter, self.biller, core)
        try:
            return await tasks.drive(program(core))
        finally:
            self._running.remove(core)
            tasks.close()


class _Tasks:
    """One run of an AsyncReporter on the running event loop."""

    def __init__(self, meter: AsyncMeter, biller: Biller | AsyncBiller, core: Core) -> None:
        self._meter = meter
        self._biller = biller
        self._core = core
        self._halted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # Stopping may come from another thread.
        core.on_halt.append(self._wake)
        self._threads = ThreadPoolExecutor(core.options.connections, "pymeter-report")

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._halted.set)

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def drive(self, steps: Steps[T]) -> T:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                request = steps.throw(error) if error else steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer, error = None, None
            try:
                answer = await self._do(request)
            except BaseException as failure:
                error = failure

    async def _do(self, request: Request) -> Any:
        biller = self._biller
        match request:
            case Ask(call):
                return await self._meter._run(call)
            case Send(push):
                return await self._call(biller.send, push)
            case Sleep(seconds):
                return await self._sleep(seconds)
            case Together(parts):
                return await self._together(parts)
            case AskTotals(customer, event_name, since, until, step):
                return await self._call(biller.totals, customer, event_name, since, until, step)
            case AskCountingSince(event_name):
                method = getattr(biller, "counting_since", None)
                return await self._call(method, event_name) if method else None
            case AskFailures(since):
                return await self._call(biller.failures, since)
            case AskFailure(event_id):
                return await self._call(biller.failure, event_id)

    async def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        if inspect.iscoroutinefunction(method):
            return await method(*args)
        answer = await self._loop.run_in_executor(self._threads, method, *args)
        return await answer if isinstance(answer, Awaitable) else answer

    async def _sleep(self, seconds: float) -> None:
        if self._core.halted:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._halted.wait(), seconds)

    async def _together(self, parts: Sequence[Steps[None]]) -> None:
        async def run(part: Steps[None]) -> None:
            try:
                await self.drive(part)
            except BaseException as error:
                self._core.fail(error)

        tasks = [asyncio.create_task(run(part)) for part in parts]
        interrupted: BaseException | None = None
        while pending := [task for task in tasks if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as error:  # what is in flight is settled first
                interrupted = error
                self._core.stop()
        if interrupted is not None:
            raise interrupted

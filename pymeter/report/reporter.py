"""The two reporters: one runs :mod:`pymeter.report.programs` on the caller's event loop, one in a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
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
from pymeter.report.core import Core
from pymeter.report.observing import Observer, Summary
from pymeter.report.options import Clock, Options
from pymeter.report.running import run_blocking

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
    _meter: Meter | AsyncMeter

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

    async def _report(self, program: Callable[[Core], Awaitable[T]]) -> T:
        core = Core(self.options, self._meter, self.biller, self.observers, clocks=self.clocks)
        self._running.append(core)
        try:
            if self._stopped:  # looked at last: `stop` may be called meanwhile, from another thread
                core.stop()
            return await program(core)
        finally:
            self._running.remove(core)


class Reporter(_Base[Biller]):
    __doc__ = f"""{_Base.__doc__}

    Its event loop runs in a thread of its own, and `pool` and `biller` are called in others. Ctrl-C settles
    what is in flight, and is raised then.

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

    def _run(self, program: Callable[[Core], Awaitable[T]]) -> T:
        return run_blocking(partial(self._report, program))


class AsyncReporter(_Base[Biller | AsyncBiller]):
    __doc__ = f"""{_Base.__doc__}

    A `biller` whose methods block, as those of StripeBiller do, is called in threads.

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
        return await self._report(lambda core: programs.once(core, open_hours=open_hours))

    async def watch(self, interval: float = 60.0, *, open_hours: bool = False) -> Summary:
        """Report every `interval` seconds, until `stop` is called. A lost connection is waited for.

        Raises BillerRefused when there is no key or it is not accepted.
        """
        return await self._report(lambda core: programs.watch(core, interval=interval, open_hours=open_hours))

    async def reconcile(
        self,
        step: ReportStep = "day",
        *,
        reads: int = 100,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Comparison:
        """Compare what was delivered with the biller's totals, the most pressing first, in so many reads."""
        return await self._report(
            lambda core: programs.reconcile(core, step=step, reads_max=reads, since=since, until=until)
        )

    async def take_in(self, event_id: str) -> int:
        """Take in the biller's error report of that id, once; returns how many pushes became rejected."""
        return await self._report(lambda core: programs.take_in_event(core, event_id))

"""The two senders: one runs :mod:`pymeter.notify.sender` on the caller's event loop, one in a thread."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import anyio.lowlevel
import psycopg

from pymeter._source import check_source
from pymeter.async_client import AsyncConnectionPool, AsyncMeter
from pymeter.client import ConnectionPool, Meter
from pymeter.notify.http import HttpSender
from pymeter.notify.keys import Secrets
from pymeter.notify.mail import MailSender
from pymeter.notify.observing import Observer
from pymeter.notify.options import Options, Summary
from pymeter.notify.sender import Run
from pymeter.program_connection import AsyncProgramPool, ProgramPool
from pymeter.report.running import run_blocking
from pymeter.secrets import redact_logs


class _Base:
    """Sends notifications to endpoints, each at least once and under one id.

    `pool` lends database connections (two are enough); `observers` receive every event; the other options
    are those of :class:`Options`. Any number of senders may run at the same time, also of different kinds.
    """

    _asynchronous = False
    _meter: Meter | AsyncMeter

    def __init__(self, pool: Any, *, observers: Sequence[Observer] = (), **options: Any) -> None:
        self.options = Options(**options)
        if isinstance(pool, psycopg.Connection | psycopg.AsyncConnection):
            # What is claimed has to be committed before it is sent.
            raise TypeError(f"{type(self).__name__} takes a pool: it commits by itself, what it must")
        check_source(pool, type(self).__name__, asynchronous=self._asynchronous)
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.observers = tuple(observers)
        self.stopped = False
        self._wake: Callable[[], None] = lambda: None
        redact_logs("pymeter.notify", "httpx", *(f"httpcore.{part}" for part in ("connection", "http11")))

    def stop(self) -> None:
        """Settle what ends soon, release the rest, and end. From any thread, or a signal's handler."""
        self.stopped = True
        self._wake()

    async def _run(self, interval: float | None) -> Summary:
        async with HttpSender(self.options, Secrets(self.options.secrets_dir)) as http:
            run = Run(self, http, MailSender(self.options), interval)
            token = anyio.lowlevel.current_token()
            self._wake = lambda: _from_outside(token, run.news_came)
            try:
                return await run.to_its_end()
            finally:
                self._wake = lambda: None


class Notifier(_Base):
    __doc__ = f"""{_Base.__doc__}

    Its event loop runs in a thread of its own. Ctrl-C settles and releases what is in flight, and is raised
    then.

        with psycopg_pool.ConnectionPool(dsn) as pool:
            Notifier(pool).run_once()
    """

    def __init__(self, pool: ConnectionPool, **options: Any) -> None:
        super().__init__(pool, **options)
        self._meter = Meter(ProgramPool(pool), schema=self.options.schema)

    def run_once(self) -> Summary:
        """Look for spikes, plan, and send all that is due. What fails is left for a later run."""
        return run_blocking(partial(self._run, None))

    def watch(self, interval: float = 1.0) -> Summary:
        """Send until `stop` is called; look for new notifications every `interval` seconds."""
        return run_blocking(partial(self._run, interval))


class AsyncNotifier(_Base):
    __doc__ = f"""{_Base.__doc__}

        async with psycopg_pool.AsyncConnectionPool(dsn) as pool:
            await AsyncNotifier(pool).run_once()
    """
    _asynchronous = True

    def __init__(self, pool: AsyncConnectionPool, **options: Any) -> None:
        super().__init__(pool, **options)
        self._meter = AsyncMeter(AsyncProgramPool(pool), schema=self.options.schema)

    async def run_once(self) -> Summary:
        """Look for spikes, plan, and send all that is due. What fails is left for a later run.

        When it is cancelled, what is in flight is released first.
        """
        return await self._run(None)

    async def watch(self, interval: float = 1.0) -> Summary:
        """Send until `stop` is called; look for new notifications every `interval` seconds."""
        return await self._run(interval)


def _from_outside(token: Any, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        token.native_token.call_soon_threadsafe(function)

"""Reporters in processes of their own, which die when they are told to: at a step, or at any moment."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from psycopg_pool import ConnectionPool

from pymeter.report import Reporter
from pymeter.report.clocks import Clocks
from tests.report.adapters import STRIPE, Adapter

# The interpreter and all imports are there once; a reporter is a fork of it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "tests.report.mortal",
        "tests.report.cluster",
        "anyio._backends._asyncio",
        "pymeter.report.stripe.http",
        "psycopg_pool",
        "pymeter.client",
    ]
)
_TIMEOUT_SECONDS = 2


class ClockFile:
    """A clock that several processes share: real time plus an offset, which may jump."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(struct.pack("d", 0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    def __reduce__(self) -> Any:
        return (ClockFile, (self.path,))

    def __call__(self) -> datetime:
        (offset,) = struct.unpack("d", self._memory)
        return datetime.now(UTC) + timedelta(seconds=offset)

    def jump(self, length: timedelta) -> None:
        (offset,) = struct.unpack("d", self._memory)
        self._memory[:] = struct.pack("d", offset + length.total_seconds())


def frozen_clocks(**moving: Any) -> Clocks:
    """Clocks of a machine that was suspended, or restored from a snapshot: they stand still, but for some."""
    return replace(Clocks(*3 * (lambda: 1000.0,)), **moving)


class Dying(Reporter):
    """Is killed (by itself, as nobody else could be so exact) before or after the n-th call that it makes.

    To the database or to the biller: between two calls there is nothing that a death could change.
    """

    def __init__(self, *args: Any, die_at: int | None, before: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self._calls_left = die_at
        self._before = before
        self._lock = threading.Lock()
        for owner, names in (
            (self._meter, ["_run"]),
            (self.biller, ["send", "totals", "counting_since", "failures", "failure"]),
        ):
            for name in filter(partial(hasattr, owner), names):  # counting_since is optional
                setattr(owner, name, partial(self._call, getattr(owner, name)))

    def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        with self._lock:
            last = self._calls_left == 1
            if self._calls_left is not None:
                self._calls_left -= 1
        if last and self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*args)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def start(
    dsn: str,
    url: str,
    clock: ClockFile,
    *,
    watch: bool = False,
    die_at: int | None = None,
    before: bool = True,
    frozen: bool = False,
    timeout: float = _TIMEOUT_SECONDS,
    adapter: Adapter = STRIPE,
    **options: Any,
) -> Any:
    """A process that reports once, or watches until it is killed. Its exit status is 0, or -SIGKILL.

    ``frozen``: its own clocks stand still, and it has no other.
    """
    options |= {"biller_name": adapter.name}
    process = _CONTEXT.Process(
        target=_report,
        args=(dsn, adapter, url, clock, watch, die_at, before, frozen, timeout, options),
        daemon=True,
    )
    process.start()
    return process


def _report(
    dsn: str,
    adapter: Adapter,
    url: str,
    clock: ClockFile,
    watch: bool,
    die_at: int | None,
    before: bool,
    frozen: bool,
    timeout: float,
    options: dict[str, Any],
) -> None:
    biller = adapter.biller(url, timeout=timeout)
    with ConnectionPool(dsn, min_size=1, max_size=3, kwargs={"autocommit": True}, open=True) as pool:
        # A process with frozen clocks works by the database's own clock, as in production.
        now = None if frozen else clock
        reporter = Dying(pool, biller, die_at=die_at, before=before, clock=now, **options)
        if frozen:
            reporter.clocks = frozen_clocks()
        signal.signal(signal.SIGTERM, lambda *_: reporter.stop())
        if watch:
            reporter.watch(0.05, open_hours=True)
        else:
            reporter.run_once()

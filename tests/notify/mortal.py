"""Senders in processes of their own, which are killed at a step."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from psycopg_pool import ConnectionPool

from pymeter.notify import Notifier
from pymeter.notify.http import HttpSender

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.notify.mortal", "anyio._backends._asyncio"])
_STEPS = (
    *("judge_spikes", "judge_budgets", "judge_projections"),
    *("plan_deliveries", "claim_deliveries", "settle_deliveries", "release_deliveries"),
)


class Fate:
    """Kills the process before or after its n-th call to the database or to an endpoint."""

    def __init__(self, die_at: int, before: bool) -> None:
        self._left = die_at
        self._before = before
        self._lock = threading.Lock()

    def _last(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0

    def wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            last = self._last()
            if last and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = method(*args, **named)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    def wrap_async(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **named: Any) -> Any:
            last = self._last()
            if last and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = await method(*args, **named)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def start(dsn: str, now: datetime, secret: str, die_at: int, before: bool) -> Any:
    """A process that sends once, if it lives. Its exit status is 0, or -SIGKILL."""
    process = _CONTEXT.Process(target=_send, args=(dsn, now, secret, die_at, before), daemon=True)
    process.start()
    return process


def _send(dsn: str, now: datetime, secret: str, die_at: int, before: bool) -> None:
    os.environ["HOOK_SECRET"] = secret
    fate = Fate(die_at, before)
    HttpSender._post = fate.wrap_async(HttpSender._post)  # type: ignore[method-assign]
    with ConnectionPool(dsn, min_size=1, max_size=3, kwargs={"autocommit": True}, open=True) as pool:
        notifier = Notifier(pool, allow_private=True, timeout=5.0, clock=partial(_now, now))
        for step in _STEPS:
            setattr(notifier._meter, step, fate.wrap(getattr(notifier._meter, step)))
        notifier.run_once()


def _now(now: datetime) -> datetime:
    return now

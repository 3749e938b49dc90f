"""Run a coroutine to its end from synchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from threading import Event, Thread
from typing import TypeVar

import anyio

T = TypeVar("T")


def run_blocking(main: Callable[[], Awaitable[T]]) -> T:
    """Run it on an event loop in a thread of its own, and return its result.

    The caller's thread may have a running loop already, as in a notebook. And Ctrl-C is then raised here and
    not in the middle of the loop: the coroutine is cancelled, has the time that it needs to end well, and
    KeyboardInterrupt is raised afterwards, however often Ctrl-C is pressed.
    """
    cancel: Future[Callable[[], None]] = Future()
    result: Future[T] = Future()
    ended = Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:
            cancel.set_result(lambda: _call_soon(loop, scope.cancel))
            result.set_result(await main())

    def thread_main() -> None:
        try:
            anyio.run(run)
        except BaseException as error:
            if not result.done():
                result.set_exception(error)
        finally:
            ended.set()

    Thread(target=copy_context().run, args=(thread_main,), name="pymeter-report").start()
    interrupted: BaseException | None = None
    while not ended.is_set():
        try:
            ended.wait()  # Thread.join takes a thread for ended once Ctrl-C has interrupted it (Python 3.11)
        except BaseException as error:
            interrupted = error
            cancel.add_done_callback(lambda done: done.result()())
    if interrupted is not None:
        raise interrupted
    return result.result()


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed: it has ended by itself
        loop.call_soon_threadsafe(callback)

"""Synchronous blocks in an event loop, such as a connection of a pool, which may have to wait to be entered.

Starlette has 40 threads for everything that is synchronous. If all of them waited for a connection, the
requests that have one could not go on, and none would become free.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")


class Threads:
    """A few threads in which blocks are entered; further ones wait without a thread."""

    def __init__(self, number: int) -> None:
        self._number = number
        # One for each event loop: tests have many.
        self._limiter: RunVar[CapacityLimiter] = RunVar("pymeter.contrib")

    @asynccontextmanager
    async def block(self, enter: Callable[[], AbstractContextManager[T]]) -> AsyncIterator[T]:
        """A synchronous context manager, which swallows no exception, as an asynchronous one."""
        block = enter()
        value = await to_thread.run_sync(block.__enter__, limiter=self._entering())
        try:
            yield value
        except BaseException as error:
            await _leave(block, error)
            raise
        else:
            await _leave(block, None)

    def _entering(self) -> CapacityLimiter:
        try:
            return self._limiter.get()
        except LookupError:
            self._limiter.set(CapacityLimiter(self._number))
            return self._limiter.get()


async def _leave(block: AbstractContextManager[object], error: BaseException | None) -> None:
    """Leave it in a thread that nothing else waits for, also if the request was cancelled."""
    given = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    with CancelScope(shield=True):
        await to_thread.run_sync(block.__exit__, *given, limiter=CapacityLimiter(1))

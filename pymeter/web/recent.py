"""What many requests ask for, and one at a time finds out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The result of a function, which is kept for some seconds.

    Whoever asks while it runs gets its result, or its exception, too: however many ask, it costs the database
    one connection.
    """

    def __init__(self, find: Callable[[], Awaitable[T]]) -> None:
        self._find = find
        self._last: tuple[float, T] | None = None
        self._task: asyncio.Task[T] | None = None

    async def get(self, seconds: float) -> T:
        """A result that was found at most so many seconds ago."""
        if self._last is not None and time.monotonic() - self._last[0] <= seconds:
            return self._last[1]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        # A request that is cancelled does not take the result from the others.
        return await asyncio.shield(self._task)

    async def _run(self) -> T:
        found = await self._find()
        self._last = time.monotonic(), found
        return found

"""Settle the results of attempts in the journal, in batches."""

from __future__ import annotations

from typing import TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from pymeter import calls
from pymeter.report.delivery import Delivery, Result

SETTLE_PUSHES = 200
_SETTLE_SECONDS = 0.5
SETTLE_NOW = None
"""Sent instead of a result by a sender without work: what is settled may free the next lane."""

Results: TypeAlias = MemoryObjectSendStream[Result | None]


async def settle_results(delivery: Delivery, results: MemoryObjectReceiveStream[Result | None]) -> None:
    """Settle batches until all senders have ended.

    A batch that cannot be settled ends the delivery. It is kept, and tried again with what the senders still
    bring; the last try is after the last sender's end.
    """
    waiting: list[Result] = []
    more = True
    with results:
        while more:
            more = await _collect(results, waiting)
            with delivery.core.failing():
                await _settle(delivery, waiting)


async def _collect(results: MemoryObjectReceiveStream[Result | None], waiting: list[Result]) -> bool:
    """Wait for a batch that is large or old enough. False: there will be no more results."""
    enough = len(waiting) + SETTLE_PUSHES  # what could not be settled is no reason to hurry
    try:
        if not waiting and not _add(waiting, await results.receive()):
            return True
        with anyio.move_on_after(_SETTLE_SECONDS):
            while len(waiting) < enough:
                if not _add(waiting, await results.receive()):
                    break
    except anyio.EndOfStream:
        return False
    return True


def _add(waiting: list[Result], result: Result | None) -> bool:
    """Add a result; False if it is none, but SETTLE_NOW."""
    if result is None:
        return False
    waiting.append(result)
    return True


async def _settle(delivery: Delivery, waiting: list[Result]) -> None:
    if not waiting:
        return
    core = delivery.core
    rows = await core.ask(calls.settle_pushes(core.options.biller_name, core.worker, waiting, now=core.now))
    delivery.settled(rows, len(waiting))
    waiting.clear()

"""Claim pushes in the journal, and queue them in lanes."""

from __future__ import annotations

from collections.abc import Sequence

from anyio.streams.memory import MemoryObjectSendStream

from pymeter import calls
from pymeter.models import ClaimedPush
from pymeter.report.core import Core
from pymeter.report.delivery import Delivery, Lane

_PUSHES_A_CONNECTION = 16
_SECONDS_AHEAD = 30  # of sending are claimed at most
_POLL_SECONDS_MIN, _POLL_SECONDS_MAX = 0.05, 0.5


async def claim_lanes(delivery: Delivery, queue: MemoryObjectSendStream[Lane]) -> None:
    """Claim whenever the queue has room, until there is nothing left to wait for; then close the queue."""
    core = delivery.core
    pause = _POLL_SECONDS_MIN
    with queue, core.failing():
        while not core.ending:
            batches = delivery.batches
            lanes = await _claim(delivery)
            for lane in lanes:
                await queue.send(lane)
            if lanes:
                pause = _POLL_SECONDS_MIN
                continue
            seconds, pause = pause, min(2 * pause, _POLL_SECONDS_MAX)
            # What was settled while the claim ran may have freed a lane that the claim did not see.
            if not delivery.unsettled and batches == delivery.batches:
                retry = delivery.seconds_to_retry()
                if retry is None or retry > core.options.patience.total_seconds():
                    return
                # In steps, because patience ends by the clock.
                seconds = max(seconds, min(retry, _POLL_SECONDS_MAX))
            await delivery.wait_for_news(seconds)


async def _claim(delivery: Delivery) -> Sequence[Lane]:
    core = delivery.core
    # Before the claim: its answer may take a while.
    deadline = core.clocks.deadline(core.lease_seconds)
    pushes = await core.ask(
        calls.claim_pushes(
            core.options.biller_name,
            core.worker,
            max_pushes=_most(core),
            lease=core.options.lease,
            now=core.now,
        )
    )
    delivery.claimed(pushes)
    by_lane: dict[tuple[str, str], list[ClaimedPush]] = {}
    for push in pushes:
        by_lane.setdefault((push.customer, push.event_name), []).append(push)
    return [Lane(of_lane, deadline) for of_lane in by_lane.values()]


def _most(core: Core) -> int:
    """How many pushes to claim at once: enough for every connection, not more than will be sent soon."""
    connections = core.options.connections
    ahead = int(core.pace.rate * _SECONDS_AHEAD)
    return max(connections, min(connections * _PUSHES_A_CONNECTION, ahead))

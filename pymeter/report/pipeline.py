"""Send everything that is due: a pipeline of tasks on one event loop.

    plan_again -> journal -> claim_lanes -> queue -> send_lanes -> results -> settle_results -> journal

A lane is one customer and event name: its pushes are sent one after another, because a biller may refuse two
calls at once, as Stripe does. There is a sender for each connection. All take lanes from one queue, so that a
slow lane delays one connection only. The queue is short, so that nothing is claimed long before it is sent.
The results are bounded too: little of what was sent is unknown to the journal.

The pipeline ends from its beginning to its end: the claimer closes the queue, the senders end after its last
lane, and the settler after their last result. So it does after a stop or an error, when the senders return
the lanes that are left.
"""

from __future__ import annotations

import anyio

from pymeter.report.claiming import claim_lanes
from pymeter.report.core import Core
from pymeter.report.delivery import Delivery, Lane, Result
from pymeter.report.planning import plan_again
from pymeter.report.sending import send_lanes
from pymeter.report.settling import SETTLE_PUSHES, settle_results

_WATCH_SECONDS_MIN, _WATCH_SECONDS_MAX = 0.02, 0.25


async def deliver(core: Core, *, plan_every: float | None = None, open_hours: bool = True) -> None:
    """Send everything that is due. With `plan_every`, plan again after that number of seconds.

    Raises BillerRefused when the key is not accepted; claimed pushes are then returned unchanged. When it is
    cancelled, what is in flight is settled first.
    """
    core.progress.begin_round()
    core.gave_up = False
    ended = anyio.Event()

    async def run() -> None:
        # Shielded: a call that was made has to be settled.
        with anyio.CancelScope(shield=True), core.failing():
            await _run(core, plan_every, open_hours)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            await ended.wait()
        except anyio.get_cancelled_exc_class():
            core.stop()
            raise
    if core.failure is not None:
        raise core.failure
    if core.out_of_patience:
        core.gave_up = True
        if plan_every is None:
            core.tell(f"gave up: nothing was delivered for {core.options.patience.total_seconds():.0f} s")


async def _run(core: Core, plan_every: float | None, open_hours: bool) -> None:
    delivery = Delivery(core)
    connections = core.options.connections
    to_queue, queue = anyio.create_memory_object_stream[Lane](connections // 2)
    to_results, results = anyio.create_memory_object_stream[Result | None](2 * SETTLE_PUSHES)
    async with anyio.create_task_group() as helpers:
        helpers.start_soon(_watch_silence, core)
        if plan_every is not None:
            helpers.start_soon(plan_again, delivery, plan_every, open_hours)
        async with anyio.create_task_group() as group:
            group.start_soon(claim_lanes, delivery, to_queue)
            with queue, to_results:
                for _ in range(connections):
                    group.start_soon(send_lanes, core, queue.clone(), to_results.clone())
            group.start_soon(settle_results, delivery, results)
        helpers.cancel_scope.cancel()


async def _watch_silence(core: Core) -> None:
    """Report when the biller does not answer."""
    pause = _WATCH_SECONDS_MIN
    with core.failing():
        while not core.halted:
            core.tell_silence()
            await core.sleep(pause)
            pause = min(2 * pause, _WATCH_SECONDS_MAX)

"""Plan pushes: turn the usage that is queued into what is to be sent."""

from __future__ import annotations

from pymeter import calls
from pymeter.report.core import Core
from pymeter.report.delivery import Delivery

_PLAN_ROWS = 10_000


async def plan(core: Core, *, open_hours: bool) -> int:
    """Plan everything that is queued now. Usage recorded in the meantime is left to the next plan."""
    total = 0
    while not core.halted:
        rows = await core.ask(
            calls.plan_pushes(
                core.options.biller_name, open_hours=open_hours, max_rows=_PLAN_ROWS, now=core.now
            )
        )
        total += rows
        if rows < _PLAN_ROWS:
            break
    for observer in core.everyone:
        observer.planned(total)
    return total


async def plan_again(delivery: Delivery, every: float, open_hours: bool) -> None:
    """Plan after every so many seconds: a round that takes long must not keep new usage waiting."""
    core = delivery.core
    with core.failing():
        while True:
            await core.sleep(every)
            if core.ending:
                return
            if await plan(core, open_hours=open_hours):
                delivery.tell_news()

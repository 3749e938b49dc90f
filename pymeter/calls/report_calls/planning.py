"""Planning what is to be sent."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import PlannedPush


def plan_pushes(
    biller: str = "stripe",
    open_hours: bool = True,
    max_rows: int = 10000,
    *,
    now: datetime | None = None,
) -> Call[int]:
    """Plan pushes for usage that has not been reported.

    Call it until it returns 0, each time in a transaction of its own.

    Args:
        biller: The biller's name.
        open_hours: Whether to plan the hour that is still open, too.
        max_rows: How many rows of the queue to look at.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        How many rows of the queue it looked at.

    Raises:
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        while meter.plan_pushes():
            pass
    """
    return Call(
        "plan_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("open_hours", open_hours, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("now", now),
        ),
        result.number,
    )


def preview_pushes(
    biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
) -> Call[list[PlannedPush]]:
    """Return what `plan_pushes` would plan, and plan nothing.

    Args:
        biller: The biller's name.
        open_hours: Whether to plan the hour that is still open, too.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The pushes.

    Example:
        for push in meter.preview_pushes():
            print(push.customer, push.event_name, push.value)
    """
    return Call(
        "preview_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("open_hours", open_hours, required=True),
            argument.time("now", now),
        ),
        result.every(PlannedPush),
    )

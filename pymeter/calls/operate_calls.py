"""For cron and for a monitor: sql/operate/."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Health, MaintenanceAction, OperationalMetric


def maintain(keep: str | timedelta | None = None, *, detach: bool = False) -> Call[list[MaintenanceAction]]:
    """Create partitions ahead, move events out of the default one, merge stripes. Idempotent: for cron.

    Call it in a READ COMMITTED transaction of its own.

    Args:
        keep: Drop the events of all months (UTC) that ended this long ago, once they are verified:
            a timedelta, or an interval with its unit (``13 months``). Rollups, members and
            idempotency keys stay.
        detach: Keep dropped months as tables outside of the log, to be archived.

    Returns:
        A row for each thing done. An action that begins with ``kept`` names a month that was not
        dropped, and why.

    Raises:
        InvalidInput: `keep` is negative, shorter than a day or no interval.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.maintain(keep="13 months")
    """
    return Call(
        "maintain",
        (argument.interval("keep", keep), argument.boolean("detach", detach, required=True)),
        result.every(MaintenanceAction),
    )


def health(now: datetime | None = None) -> Call[Health]:
    """Return the state of the meter in one row, for a monitor to poll.

    Args:
        now: The moment to ask about; the database's clock unless given.

    Returns:
        Whether it is healthy, and what is not.

    Example:
        assert meter.health().healthy
    """
    return Call("health", (argument.time("now", now),), result.one(Health))


def operational_metrics(now: datetime | None = None) -> Call[list[OperationalMetric]]:
    """Return the numbers that a monitor such as Prometheus polls. The cost is bounded.

    `pymeter.operate.exposition` makes the text of Prometheus of them.

    Args:
        now: The moment to ask about; the database's clock unless given.

    Returns:
        A row for each number, those with one name together. What is unknown has no row.

    Example:
        meter.operational_metrics()
    """
    return Call("operational_metrics", (argument.time("now", now),), result.every(OperationalMetric))


def check_drift() -> Call[int]:
    """Verify all rollups and statements, and note the number of differences for `operational_metrics`.

    It reads the whole log: for a weekly job. `verify` and `verify_statements` list the differences.

    Returns:
        How many rows differ.

    Raises:
        MeterError: (40001) events were moved meanwhile; call it again.

    Example:
        assert meter.check_drift() == 0
    """
    return Call("check_drift", (), result.number)

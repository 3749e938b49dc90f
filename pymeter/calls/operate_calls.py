"""For cron and for a monitor: sql/operate/."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Health, MaintenanceAction


def maintain(keep: str | timedelta | None = None, *, detach: bool = False) -> Call[list[MaintenanceAction]]:
    """Create partitions ahead, move strays out of the default one, and so on. Idempotent: for cron.

    Given `keep`, drop the events of all months (UTC) that ended so long ago, once they are verified: a
    timedelta, or an interval as PostgreSQL writes it, with its unit (``"13 months"``). Rollups, members and
    idempotency keys stay. `detach` makes tables of their own instead, to be archived. An action that begins
    with ``kept`` names a month that should have gone but for the reason that it gives.

    Raises InvalidInput for a `keep` that is negative, shorter than a day or no interval. Wants a READ
    COMMITTED transaction of its own.

        meter.maintain(keep="13 months")
    """
    return Call(
        "maintain",
        (argument.interval("keep", keep), argument.boolean("detach", detach, required=True)),
        result.every(MaintenanceAction),
    )


def health(now: datetime | None = None) -> Call[Health]:
    """Return the state of the meter in one row, for a monitor to poll.

    `now` looks from another time than the database's clock.

        assert meter.health().healthy
    """
    return Call("health", (argument.time("now", now),), result.one(Health))

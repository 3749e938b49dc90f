"""Times as a customer reads them: 18 Jun 2026 14:30, and periods: 1 Jun 2026 to 30 Jun 2026."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from pymeter.times import read_zone

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TO = " \N{EN DASH} "


def day(value: datetime) -> str:
    """The date of a time, in the time's own zone."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def moment(value: datetime, timezone: str) -> str:
    """The time of a clock, such as 18 Jun 2026 14:30:07: to the second, whatever the second is."""
    local = value.astimezone(read_zone(timezone))
    return f"{day(local)} {local:%H:%M:%S}"


def period(since: datetime, until: datetime, timezone: str) -> str:
    """A half-open period. Of whole days the last one is named, since people read an end as inclusive."""
    first, end = (edge.astimezone(read_zone(timezone)) for edge in (since, until))
    if first.time() == end.time() == time() and first < end:
        # In one zone, datetime arithmetic is that of its clock: a day of 23 hours is a day.
        last = end - timedelta(days=1)
        return day(first) if first.date() == last.date() else f"{day(first)}{_TO}{day(last)}"
    return f"{_moment(first)}{_TO}{_moment(end)}"


def _moment(local: datetime) -> str:
    precision = "microseconds" if local.microsecond else "seconds" if local.second else "minutes"
    return f"{day(local)} {local.replace(tzinfo=None).time().isoformat(precision)}"

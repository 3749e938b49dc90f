"""Times and time zones that are given as text, read by the rules of the SQL functions."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_LEAP_SECOND = re.compile(r"(.{10}.[0-9]{2}:[0-9]{2}):60(?:[.,]0+)?(?![0-9.,])(.*)")
_HOUR_24 = re.compile(r".{10}.24")

# As _check_timezone() in SQL has it.
_ZONE_NAME = re.compile(
    r"utc|(?!posix/|right/)[a-z]+(?:/[a-z][a-z_-]*)+"
    r"|etc/gmt(?:[+-]?0|[+](?:[1-9]|1[0-2])|-(?:[1-9]|1[0-4]))"
    r"|cuba|egypt|eire|gb|gb-eire|greenwich|hongkong|iceland|iran|israel|jamaica|japan|kwajalein|libya|navajo"
    r"|nz|nz-chat|poland|portugal|prc|roc|rok|singapore|turkey|universal|w-su"
)


def read_time(text: str) -> datetime:
    """The time that an ISO 8601 text stands for; ValueError for any other text.

    What is finer than a microsecond is cut off, never rounded. A second of 60 is the second after it.
    """
    text = text.strip().upper()
    if _HOUR_24.match(text):
        raise ValueError("an hour of 24 is not a time")
    if leap := _LEAP_SECOND.fullmatch(text):
        return datetime.fromisoformat(f"{leap[1]}:59{leap[2]}") + timedelta(seconds=1)
    return datetime.fromisoformat(text)


def instant(value: datetime) -> datetime:
    """The same instant in UTC, as a plain datetime. `value` must know its offset.

    A subclass may be written with more digits than a datetime has (pandas.Timestamp: nanoseconds), which
    PostgreSQL would round. An offset may have seconds, which not every reader of ISO 8601 takes.
    """
    if type(value) is not datetime:
        value = datetime(
            value.year,
            value.month,
            value.day,
            value.hour,
            value.minute,
            value.second,
            value.microsecond,
            value.tzinfo,
            fold=value.fold,
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:  # in the first or last hours of the calendar; SQL refuses those by its own rule
        return value


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name, in any case: UTC or a region. ValueError for anything else."""
    if _ZONE_NAME.fullmatch(name.lower()):
        for spelling in (name, _spellings().get(name.lower())):
            with suppress(KeyError, ValueError, OSError):
                if spelling is not None:
                    return ZoneInfo(spelling)
    raise ValueError(f"{name!r} is not a time zone")


@cache
def _spellings() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}

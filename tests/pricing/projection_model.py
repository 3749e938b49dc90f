"""What project_usage() has to answer for a sum, from a list of events, in floats: sql/project/ says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import mean, variance

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
NORMAL = 1.645
Events = Sequence[tuple[datetime, float]]


@dataclass
class Projected:
    """None in `method`: nothing is known."""

    used: float
    method: str | None
    low: float = 0
    expected: float = 0
    high: float = 0
    run_rate: float | None = None
    profile: float = 0


def project(events: Events, since: datetime, until: datetime, now: datetime) -> Projected:
    """The textbook way: hour by hour."""
    past = [(_hour(at), quantity, at) for at, quantity in events if at < now]
    used = sum(quantity for _, quantity, at in past if at >= since)
    if not past:
        return Projected(used, None)
    origin, first, last = _hour(now), min(past)[0], max(past)[0]
    weeks = min(4, (origin - first) // WEEK)
    if now - first < WEEK or weeks < 1:
        return Projected(used, None)
    hours = [0.0] * (24 * 28)
    for hour, quantity, _ in past:
        position = (hour - origin + 4 * WEEK) // HOUR
        if 0 <= position < len(hours):
            hours[position] += quantity
    idle = (now - last - HOUR) // DAY
    if idle >= 28:
        return Projected(used, "unchanged", used, used, used)
    gap = _gap(hours, (last - origin + 4 * WEEK) // DAY)
    if idle >= 7 and idle > gap:
        return Projected(used, None)
    left = (until - now) / DAY
    week = [mean(hours[h + 168 * (4 - weeks) :: 168]) for h in range(168)]
    profile = max(0.0, _walk(week, origin, now, until))
    passed = now - max(since, first)
    rate = max(0.0, used * ((until - now) / passed)) if passed >= DAY else None
    spread, moved = _spread(
        [sum(hours[24 * d : 24 * d + 24]) for d in range(28 - 7 * weeks, 28)], weeks, left
    )
    by_rate = moved and passed >= WEEK
    chosen = rate if by_rate and rate is not None else profile
    width = sqrt(spread + ((rate - profile) ** 2 if passed >= WEEK and rate is not None else 0))
    stopped = (origin - last) // DAY >= 2 and (origin - last) // DAY > gap
    return Projected(
        used,
        "run_rate" if by_rate else "weekday_profile",
        used if stopped else used + max(0.0, chosen - width),
        used + chosen,
        used + chosen + width,
        None if rate is None else used + rate,
        used + profile,
    )


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _gap(hours: Sequence[float], last: int) -> int:
    days = [d for d in range(last + 1) if any(hours[24 * d : 24 * d + 24])]
    return max((day - before for before, day in pairwise([0, *days])), default=0)


def _walk(week: Sequence[float], origin: datetime, now: datetime, until: datetime) -> float:
    total, start = 0.0, origin
    while start < until:
        part = (min(start + HOUR, until) - max(start, now)) / HOUR
        total += week[(start - origin) // HOUR % 168] * part
        start += HOUR
    return total


def _spread(days: Sequence[float], weeks: int, left: float) -> tuple[float, bool]:
    average = mean(days)
    if weeks == 1:
        of_days, drift, moved = variance(days), abs(average) / 4, False
    else:
        of_weeks = [mean(days[7 * w : 7 * w + 7]) for w in range(weeks)]
        weekdays = [mean(days[d::7]) for d in range(7)]
        of_days = sum((q - weekdays[n % 7] - of_weeks[n // 7] + average) ** 2 for n, q in enumerate(days)) / (
            6 * (weeks - 1)
        )
        steps = mean([(b - a) ** 2 for a, b in pairwise(of_weeks)])
        drift = sqrt(max(0.0, steps - 2 * of_days / 7))
        moved = abs(of_weeks[-1] - average) > NORMAL * sqrt(of_days / 7 * (1 + 1 / weeks))
    drift *= 1.5 * (weeks / 2 + left / 14)
    return NORMAL**2 * of_days * (left + left**2 / (7 * weeks)) + (left * drift) ** 2, moved

"""Traffic of 58 days to try projections on: four weeks of history, and a billing cycle of 30 days."""

from __future__ import annotations

import csv
import gzip
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

HISTORY_DAYS = 28
CYCLE_DAYS = 30
DAYS = HISTORY_DAYS + CYCLE_DAYS
TRACE = Path(__file__).parents[2].parent / "shared" / "data" / "llm_usage.csv.gz"

_EVENTS_MIN = 20
Hours = list[float]


@dataclass
class Traffic:
    """What one subject does: (hours since the beginning, quantity or member)."""

    kind: str
    aggregate: str
    events: list[tuple[float, float | str]] = field(default_factory=list)


def weekly(chance: random.Random) -> Hours:
    """Office hours and evenings, less on two days of seven; hours vary by 40 %."""
    base = chance.uniform(5, 200)
    return [
        base
        * (1 if day % 7 < 5 else 0.25)
        * (0.2 + 1.6 * (9 <= hour < 18) + 0.6 * (18 <= hour < 22))
        * chance.lognormvariate(0, 0.4)
        for day in range(DAYS)
        for hour in range(24)
    ]


def _trend(chance: random.Random, least: float, most: float) -> Hours:
    rate = chance.uniform(least, most)
    return [value * math.exp(rate * (hour // 24)) for hour, value in enumerate(weekly(chance))]


def growing(chance: random.Random) -> Hours:
    """1 to 3 % more every day."""
    return _trend(chance, 0.01, 0.03)


def fading(chance: random.Random) -> Hours:
    """2 to 8 % less every day."""
    return _trend(chance, -0.08, -0.02)


def drifting(chance: random.Random) -> Hours:
    """Every day's level is up to some 8 % above or below the one before."""
    level, result = 0.0, []
    for hour, value in enumerate(weekly(chance)):
        level += chance.gauss(0, 0.08) if hour % 24 == 0 else 0
        result.append(value * math.exp(level))
    return result


def bursty(chance: random.Random) -> Hours:
    """Nothing for days, then some hours of a size that varies by orders of magnitude."""
    result = [0.0] * (24 * DAYS)
    size, rate, now = chance.uniform(50, 500), chance.uniform(0.1, 1), 0.0
    while (now := now + chance.expovariate(rate / 24)) < 24 * DAYS:
        for hour in range(int(now), min(int(now) + chance.randint(1, 6), 24 * DAYS)):
            result[hour] += size * chance.paretovariate(1.8)
    return result


def dying(chance: random.Random) -> Hours:
    """Weekly, and then nothing more, from some day between the 20th and the 56th."""
    stop = chance.uniform(20, 56)
    return [value if hour / 24 < stop else 0 for hour, value in enumerate(weekly(chance))]


GENERATED: dict[str, Callable[[random.Random], Hours]] = {
    "weekly": weekly,
    "growing": growing,
    "fading": fading,
    "drifting": drifting,
    "bursty": bursty,
    "dying": dying,
}


def generated(kind: str, subjects: int, seed: int = 1) -> list[Traffic]:
    """Subjects of a kind: one event for each hour that has usage."""
    chance = random.Random(f"{kind} {seed}")
    result = []
    for _ in range(subjects):
        hours = [round(value) for value in GENERATED[kind](chance)]
        result.append(
            Traffic(kind, "sum", [(hour + 0.5, value) for hour, value in enumerate(hours) if value])
        )
    return result


def seats(subjects: int, seed: int = 1) -> list[Traffic]:
    """A gauge that goes up and down by a seat or two, reported every 6 hours: max."""
    chance = random.Random(f"seats {seed}")
    result = []
    for _ in range(subjects):
        level, events = chance.randint(5, 60), []
        for hour in range(0, 24 * DAYS, 6):
            level = max(1, level + chance.choice((-2, -1, 0, 0, 0, 0, 1, 2)))
            events.append((float(hour), float(level)))
        result.append(Traffic("seats (max)", "max", events))
    return result


def users(subjects: int, seed: int = 1) -> list[Traffic]:
    """Members, some of them active daily and some once a month; a few come and go: unique."""
    chance = random.Random(f"users {seed}")
    result = []
    for _ in range(subjects):
        people = [
            (f"user_{n}", chance.betavariate(0.5, 2), start, start + chance.uniform(5, 120))
            for n in range(chance.randint(20, 120))
            for start in [chance.uniform(-60, DAYS) if chance.random() < 0.5 else -1.0]
        ]
        events = [
            (24 * day + chance.uniform(8, 20), name)
            for day in range(DAYS)
            for name, active, since, until in people
            if since <= day < until and chance.random() < active
        ]
        result.append(Traffic("users (unique)", "unique", events))
    return result


def real() -> list[Traffic]:
    """The real hour of LLM traffic, each subject and metric, as if it had been 58 days.

    So it has the bursts of real traffic, and no weekdays.
    """
    with gzip.open(TRACE, "rt", encoding="utf-8", newline="") as file:
        rows = {(row["metric"], row["idempotency_key"]): row for row in csv.DictReader(file)}.values()
    times = [datetime.fromisoformat(row["at"]).timestamp() for row in rows]
    first, length = min(times), (max(times) - min(times)) * 1.000001
    found: dict[tuple[str, str], Traffic] = {}
    for row, time in zip(rows, times, strict=True):
        metric, aggregate = row["metric"], "unique" if row["member"] else "sum"
        traffic = found.setdefault(
            (row["subject"], metric), Traffic("real, users (unique)" if row["member"] else "real", aggregate)
        )
        value = row["member"] or float(row["quantity"])
        traffic.events.append(((time - first) / length * 24 * DAYS, value))
    return [traffic for traffic in found.values() if len(traffic.events) >= _EVENTS_MIN]

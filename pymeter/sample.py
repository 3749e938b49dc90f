"""A sample of LLM-API usage, made up by the project: deterministic, delivered at least once and out of order.

Nine subjects call an API from the first day of last month on. Every request gives four events (tokens, a
request, the size of its context, its user); seats change now and then. The delivery repeats some events,
delays some by hours, reuses some keys for another payload, and holds some that no ledger should accept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

REQUESTS = 2350
_REPEATED = 0.045
_CONFLICTS = 14

METRICS: tuple[dict[str, str], ...] = (
    {"key": "tokens", "aggregate": "sum", "unit": "tokens", "name": "Tokens"},
    {"key": "requests", "aggregate": "count", "unit": "requests", "name": "API requests"},
    {"key": "context_peak", "aggregate": "max", "unit": "tokens", "name": "Largest context"},
    {"key": "seats", "aggregate": "last", "unit": "seats", "name": "Seats of the plan"},
    {"key": "active_users", "aggregate": "unique", "unit": "users", "name": "Active users"},
)

_SUBJECTS = (
    ("amber-labs", 34, 90),
    ("birch-bank", 22, 60),
    ("cobalt-care", 14, 45),
    ("dune-travel", 10, 30),
    ("ember-games", 8, 28),
    ("fjord-media", 5, 16),
    ("grove-legal", 4, 9),
    ("harbor-edu", 2, 24),
    ("iris-robotics", 1, 3),
)
"""Name, share of the traffic, number of users."""

_MODELS = {"large": 5, "small": 14, "embed": 3}
"""Name, share of the requests."""
_SIZES = {"large": (7.4, 0.8), "small": (6.4, 0.9), "embed": (5.2, 0.6)}

_INVALID: tuple[dict[str, Any], ...] = (
    {"metric": "tokns", "quantity": 812},
    {"metric": "tokens", "quantity": -250},
    {"metric": "tokens", "quantity": "NaN"},
    {"metric": "tokens"},
    {"metric": "active_users", "quantity": 1},
    {"metric": "requests", "quantity": 1, "customer": "amber-labs"},
    {"metric": "tokens", "quantity": 64, "subject": "  "},
    {"metric": "tokens", "quantity": 64, "at": "2026-02-30T00:00:00Z"},
    {"metric": "tokens", "quantity": 64, "at": "2126-01-01T00:00:00Z"},
)


@dataclass(frozen=True)
class Sample:
    """Events as they arrive; the window [since, until) that they happened in. At `turn` this month began."""

    since: datetime
    turn: datetime
    until: datetime
    delivered: list[dict[str, Any]]


def make_sample(now: datetime, seed: int = 20) -> Sample:
    """The sample of last month and of this one up to `now`. The same hour and seed give the same events."""
    random = Random(seed)  # noqa: S311 - a sample, not a secret
    until = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    turn = until.replace(day=1, hour=0)
    since = (turn - timedelta(days=1)).replace(day=1)
    events = [*_seats(random, since, until), *_requests(random, since, until)]
    arrivals = [(event["at"] + _delay(random), event) for event in events]
    for at, event in random.sample(arrivals, round(len(events) * _REPEATED)):
        arrivals.append((at + _delay(random), event))
    for at, event in random.sample(arrivals[: len(events)], _CONFLICTS):
        arrivals.append((at + timedelta(hours=9), _with_another_payload(random, event)))
    for number, broken in enumerate(_INVALID * 2):
        at = since + (until - since) * random.random()
        arrivals.append(
            (at, {"subject": "dune-travel", "at": at, "idempotency_key": f"odd-{number}", **broken})
        )
    arrivals.sort(key=lambda arrival: arrival[0])
    return Sample(since, turn, until, [_as_json(event) for _, event in arrivals])


def _requests(random: Random, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    names, shares, users = zip(*_SUBJECTS, strict=True)
    people = dict(zip(names, users, strict=True))
    hours = [since + timedelta(hours=hour) for hour in range((until - since) // timedelta(hours=1))]
    weights = [_activity(hour) * (1 + (hour - since) / (until - since)) for hour in hours]
    for number in range(REQUESTS):
        subject = random.choices(names, shares)[0]
        at = random.choices(hours, weights)[0] + timedelta(milliseconds=random.randrange(3_600_000))
        model = random.choices(list(_MODELS), list(_MODELS.values()))[0]
        context = 1 + int(random.lognormvariate(*_SIZES[model]))
        answer = 0 if model == "embed" else 1 + int(random.lognormvariate(5.0, 0.7))
        user = f"user-{int(people[subject] * random.random() ** 2):03}"
        common = {"subject": subject, "at": at, "idempotency_key": f"req-{number:05}"}
        about = {"metadata": {"model": model, "user": user}}
        yield {**common, "metric": "tokens", "quantity": context + answer, **about}
        yield {**common, "metric": "requests", **about}
        yield {**common, "metric": "context_peak", "quantity": context, **about}
        yield {**common, "metric": "active_users", "member": user}


def _activity(hour: datetime) -> float:
    """More by day than by night, and less on Saturdays and Sundays; never nothing."""
    busy = 1.0 if hour.weekday() < 5 else 0.3
    return 0.15 + busy * max(0.0, math.sin((hour.hour - 6) / 15 * math.pi)) ** 2


def _seats(random: Random, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    for subject, _, users in _SUBJECTS:
        seats = users
        for change in range(4):
            at = since + (until - since) * (change / 4) + timedelta(minutes=1 + random.randrange(600))
            yield {
                "subject": subject,
                "metric": "seats",
                "quantity": seats,
                "at": at,
                "idempotency_key": f"plan-{change}",
            }
            seats = max(1, seats + random.choice((-2, 1, 3, 5)))


def _delay(random: Random) -> timedelta:
    """How long an event is on its way: mostly seconds, now and then hours."""
    seconds = random.expovariate(1 / 5400) if random.random() < 0.03 else random.expovariate(1 / 20)
    return timedelta(seconds=seconds)


def _with_another_payload(random: Random, event: dict[str, Any]) -> dict[str, Any]:
    if "member" in event:
        return {**event, "member": event["member"] + "-b"}
    return {**event, "quantity": event.get("quantity", 1) + random.randrange(1, 500)}


def _as_json(event: dict[str, Any]) -> dict[str, Any]:
    at = event["at"]
    return {**event, "at": at.isoformat() if isinstance(at, datetime) else at}

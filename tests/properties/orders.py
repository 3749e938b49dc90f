"""The same events in many orders, singly and in batches, from several sessions: one state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from tests.helpers import Ledger, Task

SUBJECTS = ("a", "b", "c")
SESSIONS = 4
_EVENTS = 400

_METRICS: dict[str, dict[str, Any]] = {
    "calls": {"aggregate": "count"},
    "tokens": {"aggregate": "sum"},
    "seconds": {"aggregate": "sum", "rollup": "minute"},
    "credits": {"aggregate": "sum", "period": "never", "rollup": "none"},
    "burst": {"aggregate": "sum", "period": "minute"},
    "lowest": {"aggregate": "min", "period": "day", "rollup": "none"},
    "peak": {"aggregate": "max", "period": "week", "rollup": "day"},
    "latency": {"aggregate": "avg", "period": "hour"},
    "seats": {"aggregate": "last"},
    "users": {"aggregate": "unique"},
    "hot": {"aggregate": "sum", "striped": True},
    "hot_peak": {"aggregate": "max", "striped": True},
}

# Where the open buckets are is part of the state. Of a striped metric that depends on who records.
_ROWS = """
SELECT s.subject, s.metric, s.newest_start, s.ahead_at, s.is_ordinary, s.is_count, s.unit, s.has_stripes,
       s.fine_start, s.fine_end::text, s.fine_count, s.fine_last_at::text, trim_scale(s.fine_total),
       s.fine_lowest, s.fine_highest, s.fine_latest[1] AS fine_latest_at, s.fine_latest[3] AS fine_latest,
       s.coarse_start, s.coarse_end::text, s.coarse_count, s.coarse_last_at::text,
       trim_scale(s.coarse_total) AS coarse_total, s.coarse_lowest, s.coarse_highest,
       s.coarse_latest[1] AS coarse_latest_at, s.coarse_latest[3] AS coarse_latest
FROM meter.series s JOIN meter.metrics m ON m.key = s.metric
WHERE s.subject = ANY(%s) AND NOT m.striped
"""
_ROLLUPS = """
SELECT s.subject, s.metric, r.bucket, r.bucket_start, r.event_count, r.last_at::text,
       trim_scale(r.total) AS total, r.lowest, r.highest, r.latest[1] AS latest_at, r.latest[3] AS latest
FROM meter.rollups r
JOIN meter.series s ON s.series_id = r.series_id AND s.stripe = 0
JOIN meter.metrics m ON m.key = s.metric
WHERE s.subject = ANY(%s) AND NOT m.striped
"""
_STRIPED = """
SELECT b.subject, b.metric, b.bucket, b.bucket_start, sum(b.event_count) AS events,
       max(b.last_at)::text AS last_at, trim_scale(sum(b.total)) AS total, max(b.highest) AS highest
FROM meter.buckets b JOIN meter.metrics m ON m.key = b.metric
WHERE b.subject = ANY(%s) AND m.striped GROUP BY 1, 2, 3, 4
"""
_MEMBERS = """
SELECT s.subject, s.metric, u.bucket, u.bucket_start, u.member_digest, u.seen
FROM meter.unique_members u JOIN meter.series s ON s.series_id = u.series_id AND s.stripe = 0
WHERE s.subject = ANY(%s)
"""

Event = dict[str, Any]
State = list[list[tuple[Any, ...]]]


def define(ledger: Ledger) -> None:
    for key, definition in _METRICS.items():
        ledger.define(key, **definition)


def run_orders(dsn: str, number: int, *, seed: int = 0) -> Iterator[State]:
    """Record the same events in `number` random orders; yield the state after each, under the same names."""
    draw = random.Random(seed)
    events = _make_events(draw)
    with ExitStack() as stack:
        sessions = [
            Ledger(stack.enter_context(psycopg.connect(dsn, autocommit=True))) for _ in range(SESSIONS)
        ]
        for order in range(number):
            names = {subject: f"{seed}-{order}-{subject}" for subject in SUBJECTS}
            plans = _share([{**event, "subject": names[event["subject"]]} for event in events], draw)
            tasks = [
                Task(lambda s=session, p=plan: _write(s, p))  # type: ignore[misc]
                for session, plan in zip(sessions, plans, strict=True)
            ]
            assert sum(task.result() for task in tasks) == _EVENTS
            yield read_state(sessions[0], names)


def _make_events(draw: random.Random) -> list[Event]:
    """Of the last five weeks, most of them of the present hour; a few ahead of the clock by hours."""
    now = datetime.now(UTC).replace(microsecond=0)
    backwards = [0, 0, 0, 0, 1, 59, 60, 3599, 3600, 7200, 86_400, 3 * 86_400, 35 * 86_400]
    events = []
    for number in range(_EVENTS):
        metric = draw.choice(sorted(_METRICS))
        seconds = -draw.choice(backwards) if draw.random() < 0.95 else draw.randint(4, 23) * 3600
        event: Event = {
            "subject": draw.choice(SUBJECTS),
            "metric": metric,
            # No two events have one time: `last` is not left to who comes first.
            "at": now + timedelta(seconds=seconds, microseconds=-number),
            "idempotency_key": f"key-{number}" if draw.random() < 0.8 else None,
        }
        if metric == "users":
            event["member"] = f"user-{draw.randint(1, 12)}"
        else:
            event["quantity"] = Decimal(draw.randint(0, 10**6)).scaleb(-draw.choice([0, 2, 9]))
        events.append(event)
    return events


def _share(events: list[Event], draw: random.Random) -> list[list[list[Event]]]:
    """What each session sends, piece by piece: an event with a key is sent by one or by several."""
    shares: list[list[Event]] = [[] for _ in range(SESSIONS)]
    for event in events:
        senders = draw.randint(1, SESSIONS) if event["idempotency_key"] and draw.random() < 0.3 else 1
        for share in draw.sample(shares, senders):
            share.append(event)
    plans = []
    for share in shares:
        draw.shuffle(share)
        plan = []
        while share:
            size = 1 if draw.random() < 0.6 else draw.randint(2, 60)
            plan.append(share[:size])
            share = share[size:]
        plans.append(plan)
    return plans


def _write(session: Ledger, plan: list[list[Event]]) -> int:
    outcomes = []
    for piece in plan:
        if len(piece) == 1:
            outcomes.append(session.record(**piece[0]).outcome)
        else:
            outcomes += [outcome.outcome for outcome in session.batch(piece)]
    assert set(outcomes) <= {"recorded", "duplicate"}
    return outcomes.count("recorded")


def read_state(ledger: Ledger, names: dict[str, str]) -> State:
    subjects = {name: subject for subject, name in names.items()}
    assert [drift for subject in subjects for drift in ledger.verify(subject=subject)] == []
    return [
        sorted(((subjects[row[0]], *row[1:]) for row in ledger.rows(query, [list(subjects)])), key=str)
        for query in (_ROWS, _ROLLUPS, _STRIPED, _MEMBERS)
    ]

"""What the ledger says as of a watermark, kept so that it can be asked again later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.helpers import Ledger, at

Answers = dict[str, Any]

# Beside those of whole days, windows that begin and end inside buckets.
SINCE = at("2026-01-01")
UNTIL = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
CUT = (at("2026-03-01 00:30:30"), datetime.now(UTC).replace(second=17, microsecond=5))


@dataclass
class Remembered:
    """A watermark of a subject, and all that was answered as of it."""

    subject: str
    as_of: datetime
    answers: Answers = field(default_factory=dict)


def remember(
    ledger: Ledger,
    subject: str,
    as_of: datetime,
    *,
    metrics: Sequence[str] | None = None,
    step: str = "day",
    days_since: datetime = SINCE,
) -> Remembered:
    found = answers(ledger, subject, as_of, metrics=metrics, step=step, days_since=days_since)
    return Remembered(subject, as_of, found)


def answers(
    ledger: Ledger,
    subject: str,
    as_of: datetime,
    *,
    metrics: Sequence[str] | None = None,
    step: str = "day",
    days_since: datetime = SINCE,
) -> Answers:
    """usage(), summary(), series() by day, and events(), as of a watermark.

    Lines without usage say only that a metric is there, which is not about what was recorded.
    """
    keys = metrics
    if keys is None:
        keys = [row.key for row in ledger.rows("SELECT key FROM meter.metrics ORDER BY key")]
    found: Answers = {}
    for name, window in (
        ("all", {"period": "never"}),
        ("since", {"since": SINCE, "until": UNTIL}),
        ("cut", {"since": CUT[0], "until": CUT[1]}),
    ):
        if name == "since" and days_since != SINCE:
            continue
        for row in ledger.call("summary", subject=subject, as_of=as_of, **window):
            if row.has_data and row.metric in keys:
                found[f"{name} {row.metric}"] = (row.quantity, row.event_count)
    for key in keys:
        days = ledger.call(
            "series", subject=subject, metric=key, since=days_since, until=UNTIL, step=step, as_of=as_of
        )
        if used := [(day.bucket_start, day.quantity, day.event_count) for day in days if day.event_count]:
            found[f"series {key}"] = used
    events = ledger.call("events", subject=subject, max_rows=10_000, as_of=as_of)
    found["events"] = len(events)
    found["event ids"] = sorted(row.event_id for row in events)
    return found


def assert_still_so(ledger: Ledger, remembered: Remembered, **named: Any) -> None:
    now = answers(ledger, remembered.subject, remembered.as_of, **named)
    assert now == remembered.answers, (
        remembered.subject,
        remembered.as_of,
        {k: (v, now.get(k)) for k, v in remembered.answers.items() if now.get(k) != v},
        {k: v for k, v in now.items() if k not in remembered.answers},
    )


def set_watermarks_ahead(ledger: Ledger, by: timedelta, subject: str | None = None) -> datetime:
    """As after a failover to a server whose clock is behind: the last watermark is later than the clock."""
    ledger.execute(
        "UPDATE meter.sealed_subjects SET watermark = clock_timestamp() + %s"
        " WHERE %s::text IS NULL OR subject = %s",
        [by, subject, subject],
    )
    ledger.execute(
        "UPDATE meter.series s SET recorded_after = w.watermark + interval '1 microsecond'"
        " FROM meter.sealed_subjects w WHERE w.subject = s.subject AND w.watermark > clock_timestamp()"
    )
    found: datetime = ledger.value(
        "SELECT max(watermark) FROM meter.sealed_subjects WHERE %s::text IS NULL OR subject = %s",
        [subject, subject],
    )
    return found

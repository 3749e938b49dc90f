"""What a role may ask that is bound to its own subjects: sql/own/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls.call import Call
from pymeter.calls.usage_calls import events, series, summary, usage, usage_by
from pymeter.models import Event, UsageBucket, UsageGroup, UsageTotal


def own_usage(
    subject: str,
    metric: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[UsageTotal]:
    """Return what `usage` does, to a role that was granted read on this subject alone.

    Raises what `usage` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_usage("acct_1", "tokens").quantity
    """
    call = usage(subject, metric, period=period, since=since, until=until, timezone=timezone, now=now)
    return Call("own_usage", call.arguments, call.result)


def own_summary(
    subject: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageTotal]]:
    """Return what `summary` does, to a role that was granted read on this subject alone.

    Raises what `summary` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_summary("acct_1", period="month")
    """
    call = summary(subject, period=period, since=since, until=until, timezone=timezone, now=now)
    return Call("own_summary", call.arguments, call.result)


def own_series(
    subject: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    step: str = "day",
    timezone: str = "UTC",
) -> Call[list[UsageBucket]]:
    """Return what `series` does, to a role that was granted read on this subject alone.

    Raises what `series` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
    """
    call = series(subject, metric, since, until, step=step, timezone=timezone)
    return Call("own_series", call.arguments, call.result)


def own_usage_by(
    subject: str,
    metric: str,
    dimension: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageGroup]]:
    """Return what `usage_by` does, to a role that was granted read on this subject alone.

    Raises what `usage_by` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_usage_by("acct_1", "tokens", "model", period="month")
    """
    call = usage_by(
        subject, metric, dimension, period=period, since=since, until=until, timezone=timezone, now=now
    )
    return Call("own_usage_by", call.arguments, call.result)


def own_events(
    subject: str,
    metric: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
    after_at: datetime | None = None,
) -> Call[list[Event]]:
    """Return what `events` does, to a role that was granted read on this subject alone.

    Raises what `events` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_events("acct_1", "tokens", max_rows=10)
    """
    call = events(
        subject, metric, since=since, until=until, after_id=after_id, max_rows=max_rows, after_at=after_at
    )
    return Call("own_events", call.arguments, call.result)

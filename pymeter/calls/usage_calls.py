"""What was used, and whether a quota leaves room: sql/usage/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import (
    CalendarStep,
    Event,
    Period,
    Quantity,
    QuotaStatus,
    SubjectActivity,
    SubjectPeriod,
    SubjectTotal,
    UsageBucket,
    UsageGroup,
    UsageTotal,
    Window,
)


def usage(
    subject: str,
    metric: str,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
    as_of: datetime | None = None,
) -> Call[UsageTotal]:
    """Return the usage of one metric in one window.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.
        as_of: A watermark (`watermark`): only what had been recorded up to then.

    Returns:
        The quantity; zero of zero events when there was none.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        LockUnavailable: `as_of` is later than the subject's last watermark.

    Example:
        meter.usage("acct_1", "tokens", period="30 days").quantity
    """
    return Call(
        "usage",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            *argument.window(period, since, until, timezone, now),
            argument.time("as_of", as_of),
        ),
        result.one(UsageTotal),
    )


def summary(
    subject: str,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
    as_of: datetime | None = None,
) -> Call[list[UsageTotal]]:
    """Return an invoice's lines: the usage of every metric in one window.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.
        as_of: A watermark (`watermark`): only what had been recorded up to then.

    Returns:
        A line for each metric that is in use, zeros included, and for each retired one that has
        usage in the window.

    Raises:
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        LockUnavailable: `as_of` is later than the subject's last watermark.

    Example:
        for line in meter.summary("acct_1", period="month"):
            print(line.metric, line.quantity, line.unit)
    """
    return Call(
        "summary",
        (
            argument.text("subject", subject, required=True),
            *argument.window(period, since, until, timezone, now),
            argument.time("as_of", as_of),
        ),
        result.every(UsageTotal),
    )


def series(
    subject: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    step: CalendarStep | str = "day",
    timezone: str = "UTC",
    as_of: datetime | None = None,
) -> Call[list[UsageBucket]]:
    """Return the usage step by step over [`since`, `until`), gaps filled: a chart plots it as it is.

    Without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None for the others,
    unless a ``last`` metric carries its value over.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        since: The first step's start.
        until: The end, not included.
        step: A calendar word (``minute hour day week month year``); ``cycle``, the subject's billing
            cycles; or a duration such as ``15m``, counted from `since`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        as_of: A watermark (`watermark`): only what had been recorded up to then.

    Returns:
        A row for each step, in order.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the range or the step is not allowed.
        LockUnavailable: `as_of` is later than the subject's last watermark.

    Example:
        meter.series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
    """
    return Call(
        "series",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.time("since", since, required=True),
            argument.time("until", until, required=True),
            argument.text("step", step, required=True),
            argument.text("timezone", timezone, required=True),
            argument.time("as_of", as_of),
        ),
        result.every(UsageBucket),
    )


def usage_by(
    subject: str,
    metric: str,
    dimension: str,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageGroup]]:
    """Return the usage of one metric in one window, grouped by a field of the events' metadata.

    Reads the log.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        dimension: The field's name.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        A row for each value; ``None`` holds the events without the field.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        EventsDropped: events of the window were dropped.

    Example:
        meter.usage_by("acct_1", "tokens", "model", period="month")
    """
    return Call(
        "usage_by",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.text("dimension", dimension, required=True),
            *argument.window(period, since, until, timezone, now),
        ),
        result.every(UsageGroup),
    )


def check_quota(
    subject: str,
    metric: str,
    quota: Quantity | None = None,
    requested: Quantity | None = None,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[QuotaStatus]:
    """Check whether a quota, or the subject's limits, have room, now or for `requested` more.

    Allowed means used < quota, or used + requested <= quota. Without a quota all limits that block have
    to allow it, and the one that binds is returned, with its period. It reserves nothing: two callers may
    both be told yes.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        quota: How much may be used in the window, in the metric's unit. Without it, the limits decide,
            and no window is given.
        requested: How much more is wanted.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        Whether it is allowed, what is used and what remains.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.

    Example:
        meter.check_quota("acct_1", "tokens", 1_000_000, requested=5_000).allowed
    """
    return Call(
        "check_quota",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("quota", quota),
            argument.quantity("requested", requested),
            *argument.window(period, since, until, timezone, now),
        ),
        result.one(QuotaStatus),
    )


def totals(
    metric: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
    max_rows: int = 1000,
    after_subject: str | None = None,
) -> Call[list[SubjectTotal]]:
    """Return the usage of one metric in one window, by subject: what to bill all customers.

    Args:
        metric: The metric's key.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with
            `now`. Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.
        max_rows: The length of a page, at most 10,000.
        after_subject: The last row's ``subject``, for the next page of the same window; `iter_totals`
            does that.

    Returns:
        A page of subjects, ordered by name. A metric that carries its last value over has it for
        subjects without events in the window, too.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        EventsDropped: events at an edge of the window were dropped.

    Example:
        {row.subject: row.quantity for row in meter.totals("tokens", period="month")}
    """
    return Call(
        "totals",
        (
            argument.text("metric", metric, required=True),
            *argument.window(period, since, until, timezone, now),
            argument.integer("max_rows", "integer", max_rows),
            argument.text("after_subject", after_subject),
        ),
        result.every(SubjectTotal),
    )


def subjects(
    max_rows: int = 100, *, after_subject: str | None = None, after_at: datetime | None = None
) -> Call[list[SubjectActivity]]:
    """Return the subjects that were last active, most recent first.

    Args:
        max_rows: The length of a page, at most 10,000.
        after_subject: The last row's ``subject``, for the next page; `iter_subjects` does that.
        after_at: The last row's ``last_activity_at``. Without it, a subject that has new events
            since would begin the page where it is now.

    Returns:
        A page of subjects.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [row.subject for row in meter.subjects(10)]
    """
    return Call(
        "subjects",
        (
            argument.integer("max_rows", "integer", max_rows),
            argument.text("after_subject", after_subject),
            argument.time("after_at", after_at),
        ),
        result.every(SubjectActivity),
    )


def events(
    subject: str,
    metric: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
    after_at: datetime | None = None,
    as_of: datetime | None = None,
) -> Call[list[Event]]:
    """Return a page of the log, newest first: why was this charged?

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: One metric's events; all unless given.
        since: The earliest time, included.
        until: The latest time, not included.
        after_id: The last row's ``event_id``, for the next page; `iter_events` does that.
        max_rows: The length of a page, at most 10,000.
        after_at: The last row's ``at``: optional, saves a look-up.
        as_of: A watermark (`watermark`): only what had been recorded up to then.

    Returns:
        A page of events.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.
        LockUnavailable: `as_of` is later than the subject's last watermark.

    Example:
        meter.events("acct_1", "tokens", max_rows=10)
    """
    return Call(
        "events",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric),
            argument.time("since", since),
            argument.time("until", until),
            argument.integer("after_id", "bigint", after_id),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("after_at", after_at),
            argument.time("as_of", as_of),
        ),
        result.every(Event),
    )


def all_events(
    metric: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
) -> Call[list[Event]]:
    """Return a page of the log of all subjects, the latest recorded first.

    Args:
        metric: One metric's events; all unless given.
        since: The earliest time, included.
        until: The latest time, not included.
        after_id: The last row's ``event_id``, for the next page; `iter_all_events` does that.
        max_rows: The length of a page, at most 10,000.

    Returns:
        A page of events; a shorter one is the last.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.

    Example:
        [(event.subject, event.quantity) for event in meter.all_events("tokens", max_rows=10)]
    """
    return Call(
        "all_events",
        (
            argument.text("metric", metric),
            argument.time("since", since),
            argument.time("until", until),
            argument.integer("after_id", "bigint", after_id),
            argument.integer("max_rows", "integer", max_rows),
        ),
        result.every(Event),
    )


def resolve_window(
    period: Period | str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[Window]:
    """Return the window that every other call would use for these arguments.

    Args:
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with
            `now`. Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The window's start and end.

    Raises:
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.

    Example:
        meter.resolve_window("month", timezone="Europe/Berlin").since
    """
    return Call("resolve_window", argument.window(period, since, until, timezone, now), result.window)

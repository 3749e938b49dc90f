"""Usage in windows, quotas, and the events behind them: sql/usage/."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pymeter.models.catalog import Aggregate
from pymeter.models.values import Model, Moment

CalendarStep = Literal["minute", "hour", "day", "week", "month", "year", "cycle"]
SubjectPeriod = Literal["minute", "hour", "day", "week", "month", "year", "never", "cycle"]


class UsageTotal(Model):
    """The usage of one metric in one window: an invoice's line."""

    metric: str
    quantity: Decimal
    unit: str
    aggregate: Aggregate
    event_count: int
    since: Moment | None = None
    """Inclusive; None when the window has no beginning."""
    until: Moment | None = None
    """Exclusive; None when the window has no end."""
    has_data: bool | None = None
    """Whether the quantity comes from events, of the window or carried over; without, it is 0."""


class UsageBucket(Model):
    """One step of a series, [bucket_start, bucket_end)."""

    bucket_start: Moment
    bucket_end: Moment
    quantity: Decimal | None
    """None for min, max, avg and last without data."""
    event_count: int
    has_data: bool | None = None
    """As in ``UsageTotal``."""


class UsageGroup(Model):
    """The usage of the events whose metadata field has this value; None for those without the field."""

    value: str | None
    quantity: Decimal
    event_count: int


class QuotaStatus(Model):
    """Whether a quota, or the limits, leave room. ``remaining`` is never negative."""

    metric: str
    allowed: bool
    used: Decimal
    remaining: Decimal | None
    """None, as ``quota``, where no limit holds."""
    quota: Decimal | None
    unit: str
    since: Moment | None = None
    """The start of the window that was checked; None when the window has no beginning."""
    until: Moment | None = None
    """Its end, exclusive; None when the window has no end."""
    held: Decimal | None = None
    """What reservations hold."""
    overrun: Decimal | None = None
    """What was used beyond the quota."""
    limited_by: str | None = None
    """The name of the limit that binds; None for a quota that was passed."""


class SubjectTotal(Model):
    """The usage of one metric in one window by one subject."""

    subject: str
    quantity: Decimal
    event_count: int
    """0 where the last value from before the window is carried over."""


class SubjectActivity(Model):
    """A subject and when it was last active."""

    subject: str
    last_activity_at: Moment


class Event(Model):
    """One row of the append-only log."""

    event_id: int
    at: Moment
    recorded_at: Moment
    subject: str
    metric: str
    quantity: Decimal | None = None
    member: str | None = None
    idempotency_key: str | None = None
    metadata: dict[str, Any] | None = None
    """Numbers in it that are not whole are ``Decimal``."""
    kind: Literal["usage", "void", "adjustment"]
    """``void``: takes back the event ``corrects``. ``adjustment``: a signed quantity that is no event."""
    corrects: int | None = None
    """Of a void, the event that it takes back; of usage, the event that it replaces."""
    correction_id: int | None = None
    """The correction that wrote it; None for an event that was recorded."""


class Window(Model):
    """A half-open window: ``since`` belongs to it, ``until`` does not. None: unbounded on that side."""

    since: Moment | None
    until: Moment | None

"""What goes in and what comes out: frozen models named after the SQL types, fields named after the SQL
columns.

Quantities are ``Decimal`` and exact, times are aware and in UTC. A column that a newer server adds is
ignored, so an older client keeps working.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict

Aggregate = Literal["sum", "count", "min", "max", "avg", "last", "unique"]
Period = Literal["minute", "hour", "day", "week", "month", "year", "never"]
Rollup = Literal["hour", "day", "none"]
Outcome = Literal["recorded", "duplicate", "conflict"]
Level = Literal["read", "write", "report", "admin"]
BatchResult = Literal["recorded", "duplicate", "conflict", "rejected"]

Quantity = Decimal | int | str
"""What a quantity may be given as. A float is refused: 0.1 would not be a tenth."""


def to_decimal(value: object) -> Decimal:
    """The exact value of an int, a Decimal or a numeric string; ValueError for the rest, floats above all."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        raise ValueError("a float is not exact: give an int, a Decimal or a string")
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str):
        try:
            return Decimal(value.strip())
        except InvalidOperation:
            raise ValueError("not a number") from None
    raise ValueError("not a number: give an int, a Decimal or a numeric string")


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Exact = Annotated[Decimal, BeforeValidator(to_decimal)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NewEvent(BaseModel):
    """One event for ``record_batch``; the fields are the parameters of ``record``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    metric: str
    quantity: Exact | None = None
    member: str | None = None
    idempotency_key: str | None = None
    at: AwareDatetime | None = None
    """When it happened; None means now."""
    metadata: dict[str, Any] | None = None


class Metric(_Model):
    """A metric's row in the catalog."""

    key: str
    aggregate: Aggregate
    unit: str
    name: str | None = None
    description: str | None = None
    period: Period
    """The billing bucket, a calendar period in UTC."""
    rollup: Rollup
    striped: bool
    max_future: timedelta
    """How far ahead of the clock an event may lie."""
    defined_at: Moment
    retired_at: Moment | None = None
    """None while the metric is in use."""


class Recorded(_Model):
    """What became of one event. For a duplicate or a conflict: the first event's id; nothing changed."""

    event_id: int
    outcome: Outcome
    quantity: Decimal
    """The period's aggregate, this event included, in ``unit``."""
    unit: str
    period_start: Moment | None = None
    period_end: Moment | None = None
    """Exclusive. None for a metric whose period is ``never``."""


class BatchOutcome(_Model):
    """What became of the ``ordinal``-th event of a batch, counted from 1."""

    ordinal: int
    event_id: int | None = None
    outcome: BatchResult
    sqlstate: str | None = None
    """Why it was rejected; the code is the contract, the message is for people."""
    message: str | None = None
    hint: str | None = None


class UsageTotal(_Model):
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


class UsageBucket(_Model):
    """One step of a series, [bucket_start, bucket_end)."""

    bucket_start: Moment
    bucket_end: Moment
    quantity: Decimal
    event_count: int


class UsageGroup(_Model):
    """The usage of the events whose metadata has this value; None groups the events that have none."""

    value: str | None
    quantity: Decimal
    event_count: int


class QuotaStatus(_Model):
    """Whether a quota leaves room. ``remaining`` is never negative."""

    metric: str
    allowed: bool
    used: Decimal
    remaining: Decimal
    quota: Decimal
    unit: str


class SubjectActivity(_Model):
    """A subject and when it was last active."""

    subject: str
    last_activity_at: Moment


class Event(_Model):
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


class Window(_Model):
    """A half-open window: ``since`` belongs to it, ``until`` does not. None: unbounded on that side."""

    since: Moment | None
    until: Moment | None


class Drift(_Model):
    """One rollup row that differs from what the log says."""

    subject: str
    metric: str
    bucket: str
    bucket_start: Moment | None = None
    stored: Decimal | None = None
    recomputed: Decimal | None = None
    what: str | None = None
    """What differs: ``rollup``, ``members`` or ``rollup and members``."""


class MaintenanceAction(_Model):
    """One thing that ``maintain`` did."""

    action: str
    object: str


class AccessRight(_Model):
    """What one role may do in the meter's schema."""

    role: str
    level: Level | None = None
    """As granted; None: what the role has beside that."""
    subject: str | None = None
    """The one subject that it may read; None: no such limit."""
    complete: bool | None = None
    """Whether ``rights`` are all functions of the level."""
    rights: list[str]
    """The functions; without a level, each as privilege on object."""
    members: list[str]
    """The other roles that have it by membership, superusers left out."""


class Health(_Model):
    """The state of a meter in one row."""

    healthy: bool
    """Whether there are no problems."""
    problems: list[str]
    """What needs somebody now."""
    notices: list[str]
    """What may be worth a look."""
    missing_partitions: int
    """Of this month and the next three."""
    stray_events: int
    """In the default partition; counted up to 10,000."""
    oldest_unreported_at: Moment | None = None
    """The oldest usage that no biller was told of; None: there is none."""
    last_maintained_at: Moment | None = None
    silent: list[str]
    """Subject and metric that were recorded every day for a week and then stopped."""
    bloated: list[str]
    """Tables with many dead rows."""

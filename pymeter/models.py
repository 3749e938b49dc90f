"""Arguments and results: frozen models named after the SQL types, with fields named after the columns.

Quantities are ``Decimal`` and exact, times are aware and in UTC. A column that a newer server adds is
ignored, so an older client keeps working.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import methodcaller
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from pymeter.times import instant, read_time

Aggregate = Literal["sum", "count", "min", "max", "avg", "last", "unique"]
Period = Literal["minute", "hour", "day", "week", "month", "year", "never"]
CalendarStep = Literal["minute", "hour", "day", "week", "month", "year"]
Rollup = Literal["hour", "day", "none"]
Outcome = Literal["recorded", "duplicate", "conflict"]
Level = Literal["read", "write", "report", "admin"]
BatchResult = Literal["recorded", "duplicate", "conflict", "rejected"]
ReportMode = Literal["delta", "event", "last"]
ReportStep = Literal["hour", "day"]
PushState = Literal[
    "planned", "sending", "delivered", "rejected", "uncertain", "resolved", "held", "left", "replaced"
]

Quantity = Decimal | int | str
"""What a quantity may be given as. A float is refused: 0.1 would not be a tenth."""

# As _parse_events() in SQL reads a text. Decimal() would also take 1_000, digits of other scripts, spaces.
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,200}(?:[.][0-9]{0,200})?|[.][0-9]{1,200})(?:[eE][+-]?[0-9]{1,3})?|nan|-?infinity",
    re.IGNORECASE | re.ASCII,
)
_INTEGER_BITS_MAX = 435_412  # 131,072 digits: numeric holds no more, and converting more takes long


def trim(text: str) -> str:
    """The text without surrounding white space."""
    return text.strip(" \t\n\r\f\v")


def is_number(text: str) -> bool:
    """Whether this is how a quantity is written: ASCII digits, a point, an exponent, no white space."""
    return _NUMBER.fullmatch(text) is not None


def to_decimal(value: object) -> Decimal:
    """The exact value of an int, a Decimal or a numeric string; ValueError for anything else, floats too."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        raise ValueError("a float is not exact: give an int, a Decimal or a string")
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > _INTEGER_BITS_MAX:
            raise ValueError("the number is too large")
        return Decimal(value)
    if isinstance(value, str):
        if not is_number(value := trim(value)):
            raise ValueError("not a number: write it as 12, 0.5 or 1e3")
        return Decimal(value)
    raise ValueError("not a number: give an int, a Decimal or a numeric string")


def _to_datetime(value: object) -> datetime:
    if isinstance(value, str):
        value = read_time(value)
    if not isinstance(value, datetime):
        raise ValueError("not a time: give a datetime, or ISO 8601 text with a UTC offset")
    return instant(value) if value.utcoffset() is not None else value


# Type checkers see the types that a caller may pass; the validated value is always a Decimal or a datetime.
_GivenQuantity = Annotated[Quantity, BeforeValidator(to_decimal)]
_GivenTime = Annotated[AwareDatetime | str, BeforeValidator(_to_datetime)]
Moment = Annotated[AwareDatetime, AfterValidator(methodcaller("astimezone", UTC))]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NewEvent(BaseModel):
    """One event for ``record_batch``; the fields are the parameters of ``record``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    metric: str
    quantity: _GivenQuantity | None = None
    """A Decimal once the event is created, whatever was passed."""
    member: str | None = None
    idempotency_key: str | None = None
    at: _GivenTime | None = None
    """When it happened; None means now. A datetime once the event is created.

    Text is cut off after six digits of a second, as in SQL.
    """
    metadata: Mapping[str, Any] | None = None


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
    billers: list[str] | None = None
    """The billers that it is reported to; None while it is not reported."""
    may_have_stripes: bool = False
    """Whether a bucket may have several rows: after ``striped`` is turned off, until ``maintain`` ran."""
    carry: bool = False
    """For ``last``: whether a window without events has the last value from before it."""


class Recorded(_Model):
    """The outcome of one event. A duplicate or conflict has the first event's id; nothing changed."""

    event_id: int
    outcome: Outcome
    quantity: Decimal
    """The period's aggregate, this event included, in ``unit``."""
    unit: str
    period_start: Moment | None = None
    period_end: Moment | None = None
    """Exclusive. None for a metric whose period is ``never``."""


class BatchOutcome(_Model):
    """The outcome of the ``ordinal``-th event of a batch, counted from 1."""

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
    has_data: bool | None = None
    """Whether the quantity comes from events, of the window or carried over; without, it is 0."""


class UsageBucket(_Model):
    """One step of a series, [bucket_start, bucket_end)."""

    bucket_start: Moment
    bucket_end: Moment
    quantity: Decimal | None
    """None where a metric of min, max, avg or last has no data."""
    event_count: int
    has_data: bool | None = None
    """As in ``UsageTotal``."""


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
    since: Moment | None = None
    """The start of the window that was checked; None when the window has no beginning."""
    until: Moment | None = None
    """Its end, exclusive: a period starts anew then. None when the window has no end."""


class SubjectTotal(_Model):
    """The usage of one metric in one window by one subject."""

    subject: str
    quantity: Decimal
    event_count: int
    """0 where the last value from before the window is carried over."""


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
    """A rollup row that differs from the log."""

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
    """The granted level; None for rights that the role has without a grant of a level."""
    subject: str | None = None
    """The only subject that it may read; None for all."""
    complete: bool | None = None
    """Whether ``rights`` has all functions of the level."""
    rights: list[str]
    """The functions; without a level, each as privilege on object."""
    members: list[str]
    """The roles that inherit it by membership, without superusers."""


class Health(_Model):
    """The state of a meter in one row."""

    healthy: bool
    """Whether there are no problems."""
    problems: list[str]
    """Conditions that need action now."""
    notices: list[str]
    """Conditions that may need attention."""
    missing_partitions: int
    """Of this month and the next three."""
    stray_events: int
    """In the default partition; counted up to 10,000."""
    oldest_unreported_at: Moment | None = None
    """When the oldest unreported usage happened; None without any."""
    last_maintained_at: Moment | None = None
    silent: list[str]
    """Subject and metric that were recorded every day for a week and then stopped."""
    bloated: list[str]
    """Tables with many dead rows."""


class Biller(_Model):
    """The reporting policy of a biller. Durations in months are returned as their average length."""

    biller: str
    subject_is_customer: bool
    """Whether a subject that is not mapped is itself the biller's customer id."""
    dedup_window: timedelta
    """How long the biller recognises a repeated identifier."""
    dedup_margin: timedelta
    """How long before the end of ``dedup_window`` a push is no longer sent again."""
    absence: timedelta
    """How long a push must be missing from the biller's totals to count as not delivered."""
    max_age: timedelta
    """How far in the past a timestamp may lie."""
    max_ahead: timedelta
    """How far in the future a timestamp may lie."""
    grace: timedelta
    """How long after a period its invoice still takes usage."""
    max_digits: int
    """How many digits a value may have."""
    too_old: Literal["hold", "restamp", "leave"]
    negative: Literal["hold", "send", "leave"]
    late: Literal["send", "restamp", "hold"]
    first_claimed_at: Moment | None = None
    """When a worker first claimed pushes; None before that."""


class MetricMapping(_Model):
    """How a metric is reported to a biller."""

    biller: str
    metric: str
    event_name: str | None = None
    """The metric's event name at the biller; None once the mapping is removed."""
    mode: ReportMode
    since: Moment | None = None
    """Usage in buckets that begin earlier is not reported; None to report all."""
    event_after: int
    """Events up to this id are reported as deltas, whatever the mode."""


class SubjectMapping(_Model):
    """The customer at a biller that a subject is mapped to."""

    subject: str
    biller: str
    customer: str | None = None
    """None once the mapping is removed."""


class PlannedPush(_Model):
    """A push that planning would create."""

    subject: str
    metric: str
    customer: str
    event_name: str
    value: str
    """The exact decimal text that is sent."""
    stamped_at: Moment
    state: PushState
    """Its first state: ``planned``, ``held``, ``left`` or, after ``adopt_journal()``, ``uncertain``."""
    reason: str | None = None
    bucket_start: Moment
    event_id: int | None = None
    mode: ReportMode
    due_at: Moment | None = None


class ClaimedPush(_Model):
    """A push that only the claiming worker may send, before ``leased_until``."""

    push_id: int
    attempt: int
    """Returned with the outcome, so that results of earlier attempts are recognised."""
    subject: str
    metric: str
    identifier: str
    customer: str
    event_name: str
    value: str
    """The exact decimal text that is sent."""
    stamped_at: Moment
    """In whole seconds."""
    due_at: Moment | None = None
    leased_until: Moment


class SettledPush(_Model):
    """The state of a push after its outcome was settled."""

    push_id: int
    state: PushState
    reason: str | None = None
    next_attempt_at: Moment | None = None
    """When a planned push is sent again."""


class UncertainHour(_Model):
    """An hour (UTC) with uncertain pushes, whose total at the biller is needed."""

    customer: str
    event_name: str
    hour: Moment
    delivered_total: Decimal
    uncertain_total: Decimal
    uncertain_pushes: int


class ReportJournal(_Model):
    """The server that a biller's journal belongs to."""

    biller: str
    stopped: bool
    """Whether nothing is planned or claimed, because the journal was used on another server."""
    server: str | None = None
    this_server: str | None = None
    """None on a standby."""
    adopted_at: Moment | None = None
    doubtful_until: Moment | None = None
    """Usage of hours before this is compared with the biller's totals before it is sent."""


class SettledHour(_Model):
    """How the biller's total resolved the uncertain pushes of an hour."""

    verdict: Literal["present", "absent", "partly", "waiting", "unclear", "busy"]
    present: int
    absent: int
    uncertain: int


class Push(_Model):
    """One row of the journal: a push and its state."""

    push_id: int
    subject: str
    metric: str
    biller: str
    bucket_start: Moment
    event_id: int | None = None
    mode: ReportMode
    identifier: str
    customer: str
    event_name: str
    value: Decimal
    stamped_at: Moment
    due_at: Moment | None = None
    state: PushState
    reason: str | None = None
    error: str | None = None
    attempts: int
    unsure_attempts: int
    unsure_since: Moment | None = None
    absent_since: Moment | None = None
    planned_at: Moment
    next_attempt_at: Moment
    first_attempt_at: Moment | None = None
    last_attempt_at: Moment | None = None
    settled_at: Moment | None = None
    replaces: int | None = None
    replaced_by: int | None = None


class ReconcilableRange(_Model):
    """A range of a customer and event name to ask the biller's total for."""

    customer: str
    event_name: str
    range_start: Moment
    range_end: Moment
    step: ReportStep
    local: Decimal
    """The delivered total."""
    cause: Literal["recheck", "uncertain", "due", "routine"]


class Reconciliation(_Model):
    """The latest comparison of the delivered total with the biller's total."""

    biller: str
    customer: str
    event_name: str
    step: ReportStep
    range_start: Moment
    local: Decimal | None = None
    remote: Decimal | None = None
    difference: Decimal | None = None
    """``remote`` less ``local``: above zero the biller has more."""
    checked_at: Moment | None = None
    recheck: bool


class PushStatus(_Model):
    """How much usage of a metric is in a state; ``unplanned`` and ``unmapped`` usage has no push yet."""

    state: str
    pushes: int
    quantity: Decimal
    oldest: Moment | None = None
    metric: str | None = None
    """None only if nothing is reported to the biller."""

"""Reporting to a biller: policies, mappings, pushes, comparisons: sql/report/."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from pymeter.models.values import Model, Moment

ReportMode = Literal["delta", "event", "last"]
ReportStep = Literal["hour", "day"]
PushMode = Literal["delta", "event", "last", "item"]
PushState = Literal[
    "planned", "sending", "delivered", "rejected", "uncertain", "resolved", "held", "left", "replaced"
]


class Biller(Model):
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
    sends: Literal["usage", "statements"]
    """What it is told: the usage of mapped metrics, or each line of statements as an invoice item."""
    statements_since: Moment | None = None
    """Statements of periods that begin earlier are not sent; None: only those closed since it was defined."""


class MetricMapping(Model):
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


class SubjectMapping(Model):
    """The customer at a biller that a subject is mapped to."""

    subject: str
    biller: str
    customer: str | None = None
    """None once the mapping is removed."""


class PlannedPush(Model):
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
    mode: PushMode
    due_at: Moment | None = None
    statement_id: int | None = None
    """Of an invoice item; None otherwise, as are the fields after it."""
    line: int | None = None
    description: str | None = None
    """What the customer reads."""
    since: Moment | None = None
    until: Moment | None = None
    """The line's period: [since, until)."""


class ClaimedPush(Model):
    """A push that only the claiming worker may send, before ``leased_until``."""

    push_id: int
    attempt: int
    """Pass it to settle_pushes with the outcome: it identifies results of earlier attempts."""
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
    statement_id: int | None = None
    """Of an invoice item; None otherwise, as are the fields after it."""
    line: int | None = None
    description: str | None = None
    """What the customer reads."""
    since: Moment | None = None
    until: Moment | None = None
    """The line's period: [since, until)."""
    statement_hash: str | None = None


class SettledPush(Model):
    """The state of a push after its outcome was settled."""

    push_id: int
    state: PushState
    reason: str | None = None
    next_attempt_at: Moment | None = None
    """When a planned push is sent again."""


class UncertainHour(Model):
    """An hour (UTC) with uncertain pushes, whose total at the biller is needed."""

    customer: str
    event_name: str
    hour: Moment
    delivered_total: Decimal
    uncertain_total: Decimal
    uncertain_pushes: int


class ReportJournal(Model):
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
    sends: Literal["usage", "statements"] = "usage"


class SettledHour(Model):
    """How the biller's total resolved the uncertain pushes of an hour."""

    verdict: Literal["present", "absent", "partly", "waiting", "unclear", "busy"]
    present: int
    absent: int
    uncertain: int


class Push(Model):
    """One row of the journal: a push and its state."""

    push_id: int
    subject: str
    metric: str
    biller: str
    bucket_start: Moment
    event_id: int | None = None
    mode: PushMode
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
    statement_id: int | None = None
    """Of an invoice item; None otherwise, as are the fields after it."""
    line: int | None = None
    description: str | None = None
    """What the customer reads."""
    since: Moment | None = None
    until: Moment | None = None
    """The line's period: [since, until)."""


class ReconcilableRange(Model):
    """A range of a customer and event name to ask the biller's total for."""

    customer: str
    event_name: str
    range_start: Moment
    range_end: Moment
    step: ReportStep
    local: Decimal
    """The delivered total."""
    cause: Literal["recheck", "uncertain", "due", "routine"]


class Reconciliation(Model):
    """The latest comparison of the delivered total with the biller's total."""

    biller: str
    customer: str
    event_name: str
    step: ReportStep
    range_start: Moment
    local: Decimal | None = None
    remote: Decimal | None = None
    difference: Decimal | None = None
    """``remote`` minus ``local``: positive if the biller has more."""
    checked_at: Moment | None = None
    recheck: bool


class PushStatus(Model):
    """How much usage of a metric is in a state; ``unplanned`` and ``unmapped`` usage has no push yet."""

    state: str
    pushes: int
    quantity: Decimal
    oldest: Moment | None = None
    metric: str | None = None
    """None only if nothing is reported to the biller."""

"""Limits, and what they are made of: settings, billing cycles, plans, notifications: sql/limits/."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pymeter.models.values import Model, Moment

LimitAction = Literal["block", "alert", "none"]
LimitSource = Literal["subject", "plan", "everyone"]
CycleLength = Literal["week", "month", "year"]
ReserveOutcome = Literal[
    "held", "duplicate", "conflict", "refused", "settled", "released", "expired", "skipped"
]
TopUpSource = Literal["paid", "promotional"]
ReservationState = Literal["held", "settled", "released", "expired"]


class Setting(Model):
    """A setting of the meter, and what it does."""

    name: str
    value: str
    default_value: str
    description: str


class AdminEntry(Model):
    """One change that an administrator has made."""

    entry_id: int
    changed_at: Moment
    role: str
    """The role that the session logged in as, or has set."""
    application: str
    """The session's application_name."""
    action: str
    """The function that changed it."""
    object: str
    """What was changed: a metric, setting, subject, plan or role."""
    before: Any = None
    """Before the change; None if there was nothing. Numbers in it that are not whole are ``Decimal``."""
    after: Any = None
    """After the change; None if nothing is left."""


class BillingCycle(Model):
    """A rule of a subject's billing cycles."""

    subject: str
    since: Moment
    """From when the rule holds: the start of a cycle."""
    anchor: Moment
    """A start of a cycle; the others are whole weeks, months or years from it."""
    timezone: str
    every: CycleLength


class Plan(Model):
    """A plan that subjects can subscribe to."""

    plan: str
    name: str | None = None
    """A title for people."""
    defined_at: Moment
    currency: str | None = None
    """ISO 4217: that of its prices; None without any."""


class Subscription(Model):
    """A subject's plan in [since, until)."""

    subscription_id: int
    subject: str
    plan: str
    since: Moment
    until: Moment | None = None
    """None while it is open."""


class Limit(Model):
    """A version of a limit. Without ``subject`` and ``plan`` it is everyone's."""

    limit_id: int
    metric: str
    name: str
    """Tells several limits of a metric apart."""
    period: str
    """A calendar word, ``cycle``, or a duration: the window of that length that ends now."""
    subject: str | None = None
    plan: str | None = None
    since: Moment
    """From when the version holds."""
    quota: Decimal | None = None
    """In the metric's unit; None: unlimited."""
    action: LimitAction
    """Beyond the quota: ``block`` refuses events, ``alert`` only notifies, ``none`` does neither."""
    marks: list[Decimal]
    """Percentages of the quota at which a notification is written."""
    every: Decimal | None = None
    """Beyond the quota, a notification is written at each further step of this size."""
    removed: bool
    """Whether this version ends the limit."""
    created_at: Moment
    rollover_min: Decimal | None = None
    """How much goes over to the next period at least."""
    rollover_max: Decimal | None = None
    """How much of what is left goes over to the next period at most; both None: nothing does."""
    projected: bool = False
    """Whether marks also fire on the usage expected at the end of the period."""


class EffectiveLimit(Model):
    """A limit as it holds for a subject in the period [since, until)."""

    limit_id: int
    metric: str
    name: str
    period: str
    source: LimitSource
    plan: str | None = None
    quota: Decimal | None = None
    """None: unlimited."""
    action: LimitAction
    since: Moment | None = None
    until: Moment | None = None
    """Exclusive; None where the period has no end, or ends now."""
    counts: bool
    """Whether it is the one that counts of its name and period."""
    reason: str
    """Why it counts, or what shadows it."""
    marks: list[Decimal]
    every: Decimal | None = None
    projected: bool = False
    """Whether marks also fire on the usage expected at the end of the period."""


class Notification(Model):
    """What there is to tell, such as a mark that was reached."""

    notification_id: int
    type: str
    subject: str | None = None
    metric: str | None = None
    data: dict[str, Any]
    """The facts. Numbers in it that are not whole are ``Decimal``."""
    created_at: Moment
    planned_at: Moment | None = None
    """When it was planned for the endpoints; None: not yet."""


class Overrun(Model):
    """A limit that blocks, and of which more is used in [since, until) than its quota."""

    subject: str
    metric: str
    limited_by: str
    period: str
    since: Moment
    until: Moment | None = None
    used: Decimal
    quota: Decimal
    overrun: Decimal
    unit: str
    cause: str
    """``overflow``: events were counted in spite of the limit. ``settle``: more was settled than held.
    ``correction``: a correction raised the usage. ``limit``: the limit was set or lowered too late.
    ``top_up``: a top-up that covered some of it was voided."""


class TopUp(Model):
    """Units of a metric that a subject may use beyond its quota, in [since, expires_at)."""

    top_up_id: int
    metric: str
    subject: str
    idempotency_key: str
    quantity: Decimal
    priority: int
    """Lower ones are used first."""
    since: Moment
    expires_at: Moment | None = None
    """None: never."""
    source: TopUpSource
    reason: str | None = None
    created_at: Moment
    voided_at: Moment | None = None
    """When it was taken back. It then counts as if it had never been."""
    void_reason: str | None = None
    depleted_at: Moment | None = None
    """When ``maintain`` wrote the notification that it is used up."""
    expired_at: Moment | None = None
    """When ``maintain`` wrote the notification that it has expired."""
    looked_at: Moment | None = None
    """When ``maintain`` last looked whether it is used up."""


class ActiveTopUp(Model):
    """A top-up at a moment, with what is used and left of it then."""

    top_up_id: int | None = None
    """None for what the period before has left over, which has no key, priority and creation either."""
    metric: str
    subject: str
    idempotency_key: str | None = None
    quantity: Decimal
    used: Decimal
    remaining: Decimal
    priority: int | None = None
    since: Moment
    expires_at: Moment | None = None
    source: Literal["paid", "promotional", "rollover"]
    reason: str | None = None
    created_at: Moment | None = None


class Balance(Model):
    """What a subject has of a metric at a moment, in the period [since, until)."""

    quota: Decimal | None = None
    """Of the limit named ``default``; None: unlimited."""
    used: Decimal
    held: Decimal
    """What reservations hold."""
    overrun: Decimal
    """What neither quota nor top-ups cover."""
    top_ups: Decimal
    """The top-ups active at the moment, and what came over from the period before."""
    top_ups_left: Decimal
    remaining: Decimal | None = None
    """All that may still be used, top-ups included; None: unlimited."""
    limited_by: str | None = None
    since: Moment
    until: Moment | None = None


class Reserved(Model):
    """The state of a reservation after a call, and of the limit that binds."""

    reservation_id: int | None = None
    """None if it was refused, or if the key of a conflict is an event's."""
    outcome: ReserveOutcome
    """``held``, ``duplicate``, ``conflict`` or ``refused``; of one that has ended: how."""
    held: Decimal
    """What the reservation holds now."""
    used: Decimal | None = None
    """What is used of the limit; this and what follows is None without a limit."""
    held_total: Decimal | None = None
    """What all reservations hold of it."""
    remaining: Decimal | None = None
    quota: Decimal | None = None
    limited_by: str | None = None
    """The name of the limit."""
    expires_at: Moment | None = None


class ReservedInBatch(Reserved):
    """The outcome of the ``ordinal``-th request of a batch, counted from 1.

    ``skipped``: another one was refused, so nothing was held.
    """

    ordinal: int


class Reservation(Model):
    """What was reserved, and how it ended."""

    reservation_id: int
    """Also the id of the event that settles it."""
    metric: str
    subject: str
    idempotency_key: str | None = None
    quantity: Decimal
    """How much was asked for, in the metric's unit."""
    minimum: Decimal | None = None
    held: Decimal
    """How much it holds, or held."""
    at: Moment
    """When it was reserved."""
    expires_at: Moment
    state: ReservationState
    settled_quantity: Decimal | None = None
    """What was used; None until it is settled."""
    settled_at: Moment | None = None
    """When it was settled or released, or found to have expired."""
    settled_for: Moment | None = None
    """The time of the event that settles it."""
    is_late: bool
    """Whether it was settled after it had been released or had expired."""
    metadata: dict[str, Any] | None = None

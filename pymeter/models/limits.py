"""Limits, and what they are made of: settings, billing cycles, plans, notifications: sql/limits/."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pymeter.models.values import Model, Moment

LimitAction = Literal["block", "alert", "none"]
LimitSource = Literal["subject", "plan", "everyone"]
CycleLength = Literal["week", "month", "year"]


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
    """``overflow``: events were counted in spite of the limit. ``limit``: it was set or lowered too late."""

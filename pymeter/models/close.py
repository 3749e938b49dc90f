"""Closed periods, and usage that came after: sql/close/."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from pymeter.models.values import Model, Moment

LineKind = Literal["usage", "fee", "discount", "true_up", "late", "credit", "tax", "total"]
LateDecision = Literal["bill", "waive"]
SettledLate = Literal["settled", "duplicate", "conflict"]
ProblemKind = Literal["hash", "chain", "subject", "log", "late", "credit"]


class StatementHeader(Model):
    """A closed period [since, until) of a subject."""

    statement_id: int
    subject: str
    since: Moment
    until: Moment
    closed_at: Moment
    watermark: Moment
    """The statement holds what had been recorded up to here."""
    previous_hash: str | None = None
    """The hash of the subject's previous statement; None for the first one."""
    hash: str
    """SHA-256 of ``statement_document``, hexadecimal."""
    lines: int
    closed_by: str
    """The role that closed it."""
    totals: dict[str, Decimal | None] = Field(default_factory=dict)
    """By currency; None where a line has no amount. Empty without prices."""


class StatementLine(Model):
    """A line of a statement."""

    line: int
    """Its position, from 1."""
    kind: LineKind
    """``late``: of an earlier period, billed with this statement."""
    metric: str | None = None
    """None for a fee, the minimum of a plan, a credit, a tax, and a total."""
    quantity: Decimal | None = None
    """Of a late line: how much more or less than had been stated and billed."""
    unit: str | None = None
    aggregate: str | None = None
    event_count: int | None = None
    """Of the events of the quantity, in the first line of them; 0 for a late line."""
    since: Moment
    until: Moment
    late_of: int | None = None
    """The statement of the earlier period that the line is ``late`` usage of, or that had drawn what a line
    of kind ``credit`` gives back; None for others."""
    item: str | None = None
    """The line of the plan; None for usage without a price, for the minimum of a plan, and for a total. Of a
    credit its id, None for one that the statement grants; of a tax its name."""
    unit_amount: Decimal | None = None
    """A rate of the price, never an average."""
    exact_amount: Decimal | None = None
    """Not rounded. None: no price says what this costs."""
    amount: Decimal | None = None
    """Rounded so that the lines add up to the total."""
    currency: str | None = None
    price_version: int | None = None
    explanation: str | None = None
    """For people: how the amount comes about."""
    plan: str | None = None
    tier: int | None = None
    flat_amount: Decimal | None = None
    name: str | None = None


class Closing(Model):
    """What ``close_due`` did with a period."""

    subject: str
    since: Moment
    until: Moment
    statement_id: int | None = None
    """None if it was postponed."""
    outcome: Literal["closed", "postponed"]
    sqlstate: str | None = None
    message: str | None = None
    """Why it was postponed."""
    totals: dict[str, Decimal | None] | None = None
    """Of the statement, by currency; None if it was postponed."""


class LateUsage(Model):
    """A line of a statement whose usage has changed since: current = stated + billed + waived + delta."""

    statement_id: int
    subject: str
    metric: str
    since: Moment
    until: Moment
    stated: Decimal
    """What the statement says."""
    current: Decimal
    """What is counted now."""
    delta: Decimal
    """What is not decided yet."""
    billed: Decimal
    waived: Decimal
    unit: str
    amount: Decimal | None = None
    """What delta costs at the prices of the statement; None: unknown, or there were no prices."""
    currency: str | None = None


class LateSettlement(Model):
    """What ``settle_late_usage`` did."""

    statement_id: int
    metric: str
    outcome: SettledLate
    """``duplicate``: nothing was left to decide. ``conflict``: the delta has moved; nothing was decided."""
    delta: Decimal
    """What is still open."""
    billed: Decimal
    waived: Decimal
    amount: Decimal | None = None
    """What the decision adds to the next statement; None: nothing, unknown, or there were no prices."""
    currency: str | None = None


class StatementProblem(Model):
    """What does not fit in a statement, or between statements."""

    statement_id: int | None = None
    """None if the statement is missing."""
    subject: str
    what: ProblemKind
    """``hash``: header or lines were changed. ``chain``: another statement comes before, or one is missing.
    ``subject``: it is another one's. ``log``: the log as of the watermark says something else. ``late``: a
    late line differs from what was decided. ``credit``: draws of credits differ from the lines."""
    line: int | None = None
    metric: str | None = None
    stated: str | None = None
    found: str | None = None

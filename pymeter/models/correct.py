"""Corrections, and what they consist of: sql/correct/."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pymeter.models.record import NewEvent
from pymeter.models.values import GivenQuantity, GivenTime, Model, Moment

CorrectionState = Literal["open", "approved", "rejected", "reverted"]
CorrectionOutcome = Literal["applied", "duplicate", "conflict"]
EntryKind = Literal["void", "amend", "adjust", "record"]


class _NewEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VoidEntry(_NewEntry):
    """An entry for ``stage_correction``: takes an event back, or every event of a window.

    Name the event by ``event_id`` or ``idempotency_key``; or give ``since`` and ``until``.
    """

    entry: Literal["void"] = "void"
    subject: str
    metric: str
    event_id: int | None = None
    idempotency_key: str | None = None
    at: GivenTime | None = None
    """The event's time, by which it is found faster."""
    since: GivenTime | None = None
    """Inclusive."""
    until: GivenTime | None = None
    """Exclusive."""
    reason: str | None = None


class AmendEntry(_NewEntry):
    """An entry for ``stage_correction``: replaces an event; what is left out stays as it is."""

    entry: Literal["amend"] = "amend"
    subject: str
    metric: str
    event_id: int | None = None
    idempotency_key: str | None = None
    quantity: GivenQuantity | None = None
    member: str | None = None
    at: GivenTime | None = None
    metadata: dict[str, Any] | None = None
    reason: str | None = None


class AdjustEntry(_NewEntry):
    """An entry for ``stage_correction``: adds a signed quantity, which is no event."""

    entry: Literal["adjust"] = "adjust"
    subject: str
    metric: str
    quantity: GivenQuantity
    at: GivenTime | None = None
    idempotency_key: str | None = None
    reason: str | None = None


class RecordEntry(NewEvent):
    """An entry for ``stage_correction``: records an event that was missing."""

    entry: Literal["record"] = "record"
    reason: str | None = None


NewEntry = VoidEntry | AmendEntry | AdjustEntry | RecordEntry


class Corrected(Model):
    """What void_event, amend_event or adjust did."""

    correction_id: int | None = None
    """The correction that holds the change; None for a conflict."""
    event_id: int | None = None
    """The event that no longer counts; or the new one of an amend; or the adjustment."""
    outcome: CorrectionOutcome
    """``duplicate``: nothing was left to do. ``conflict``: the event or the key was changed otherwise."""
    quantity: Decimal
    """The new quantity of the period that it counts in."""


class CorrectionEffect(Model):
    """What a correction changes in one period [since, until) of a metric."""

    subject: str
    metric: str
    since: Moment | None = None
    until: Moment | None = None
    """None if the period never ends."""
    before: Decimal
    after: Decimal
    delta: Decimal
    closed: bool
    """Whether a statement holds the period."""
    reported: bool
    """Whether some of its usage has been planned for a biller."""
    limits: list[str]
    """The limits whose usage goes from below the quota to at least the quota, or back."""
    amount: Decimal | None = None
    """How much more or less the usage costs: on the invoice of its billing cycle, after the rows before; or
    as late usage of a statement. None if that is unknown, or there are no prices."""
    currency: str | None = None
    """The currency of the amount."""


class Correction(Model):
    """A reviewed unit of changes to what the log says."""

    correction_id: int
    state: CorrectionState
    reason: str
    entries: int
    """How many changes it has."""
    opened_by: str
    opened_at: Moment
    decided_by: str | None = None
    """The role that approved or rejected it; None while it is open."""
    decided_at: Moment | None = None
    decision: str | None = None
    """Why it was rejected."""
    reverts: int | None = None
    """The correction that it takes back."""
    reverted_by: int | None = None
    """The correction that took it back, which says who did that, when and why."""


class CorrectionEntry(Model):
    """One change of a correction, as it was staged, and what approving it did."""

    ordinal: int
    entry: EntryKind
    subject: str
    metric: str
    corrects: int | None = None
    """The event that is voided or amended; None where a key names it, and for the other entries."""
    quantity: Decimal | None = None
    member: str | None = None
    idempotency_key: str | None = None
    at: Moment | None = None
    metadata: dict[str, Any] | None = None
    """Numbers in it that are not whole are ``Decimal``."""
    reason: str | None = None
    """Why, if another reason than the correction's was given."""
    outcome: CorrectionOutcome | None = None
    """None until it is approved."""
    event_id: int | None = None
    """The row of the log that was written; None if none was."""

"""Events that are recorded, and their outcomes: sql/record/."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pymeter.models.values import GivenQuantity, GivenTime, Model, Moment

Outcome = Literal["recorded", "duplicate", "conflict", "refused"]
BatchResult = Literal["recorded", "duplicate", "conflict", "refused", "rejected"]


class NewEvent(BaseModel):
    """One event for ``record_batch``; the fields are the parameters of ``record``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    metric: str
    quantity: GivenQuantity | None = None
    """Converted to Decimal."""
    member: str | None = None
    idempotency_key: str | None = None
    at: GivenTime | None = None
    """When it happened; None means now. Text is converted to a datetime, truncated to microseconds.
    """
    metadata: Mapping[str, Any] | None = None


class Recorded(Model):
    """The outcome of one event. Unless it was recorded, nothing changed."""

    event_id: int | None = None
    """For a duplicate or conflict the first event's; None for a refused event."""
    outcome: Outcome
    quantity: Decimal
    """The period's aggregate, this event included, in ``unit``."""
    unit: str
    period_start: Moment | None = None
    period_end: Moment | None = None
    """Exclusive. None for a metric whose period is ``never``."""
    remaining: Decimal | None = None
    """What is left of the limit that binds; None without a limit."""
    limited_by: str | None = None
    """The name of that limit."""


class RecordedWithoutTotal(Model):
    """The outcome of one event that was recorded with total=False: as Recorded."""

    event_id: int | None = None
    outcome: Outcome
    quantity: None = None
    unit: str
    period_start: Moment | None = None
    period_end: Moment | None = None
    remaining: Decimal | None = None
    limited_by: str | None = None


class BatchOutcome(Model):
    """The outcome of the ``ordinal``-th event of a batch, counted from 1."""

    ordinal: int
    event_id: int | None = None
    outcome: BatchResult
    sqlstate: str | None = None
    """Why it was rejected or refused; the code is the contract, the message is for people."""
    message: str | None = None
    hint: str | None = None

"""Money that a subject has, and its taxes: sql/credits/."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pymeter.models.values import Model, Moment

CreditSource = Literal["paid", "promotional"]


class Credit(Model):
    """Money that pays a subject's statements, before tax: amount = drawn + remaining, unless it is void."""

    credit_id: int
    subject: str
    currency: str
    amount: Decimal
    """How much it was at first."""
    drawn: Decimal
    """What statements have drawn, less what they have given back."""
    remaining: Decimal
    """What is left; 0 if it is void."""
    priority: int
    """Lower ones are drawn first."""
    since: Moment
    """It pays for periods that end after this."""
    expires_at: Moment | None = None
    """It pays for periods that end up to this; None: for ever."""
    source: CreditSource
    reason: str | None = None
    idempotency_key: str | None = None
    """None: it was granted by a statement."""
    statement_id: int | None = None
    """The statement whose negative total it is; None: it was granted."""
    recorded_at: Moment
    recorded_by: str
    voided_at: Moment | None = None
    void_reason: str | None = None


class Tax(Model):
    """A tax of a subject."""

    subject: str
    name: str
    """What it is called on invoices."""
    percent: Decimal | None = None
    """Of what is left to pay after credits; None: it is not due any more."""
    inclusive: bool
    """Prices contain it: it is shown, not added."""
    since: Moment | None = None
    """From when it holds; None: from the beginning."""
    recorded_at: Moment
    recorded_by: str

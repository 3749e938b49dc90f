"""Statements as charges of FOCUS, the FinOps Open Cost and Usage Specification: sql/focus/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import FocusCharge


def focus_charges(
    since: datetime,
    until: datetime,
    *,
    subject: str | None = None,
    provider: str | None = None,
    service_category: str | None = None,
) -> Call[list[FocusCharge]]:
    """Return the charges of statements as rows of FOCUS 1.2.

    Args:
        since: Periods that end after this.
        until: Periods that end at this or before. Windows that tile return each statement once.
        subject: Only this subject's statements; everybody's unless given.
        provider: Your company: ProviderName, PublisherName and InvoiceIssuerName. 'pymeter' unless given.
        service_category: A ServiceCategory of the specification, for all rows; 'Other' unless given.

    Returns:
        The charges by end of period, statement and line. The list is in memory: read a year by months.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        sum(c.BilledCost for c in meter.focus_charges(june, july, provider="Acme"))
    """
    return Call(
        "focus_charges",
        (
            argument.time("since", since, required=True),
            argument.time("until", until, required=True),
            argument.text("subject", subject),
            argument.text("provider", provider),
            argument.text("service_category", service_category),
        ),
        result.every(FocusCharge),
    )

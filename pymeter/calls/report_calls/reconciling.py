"""Comparing deliveries with the biller's totals."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Quantity, ReconcilableRange, Reconciliation, ReportStep


def reconcilable_ranges(
    biller: str = "stripe",
    step: ReportStep = "day",
    max_rows: int = 100,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Call[list[ReconcilableRange]]:
    """Return hours or days (UTC) to compare with the biller's totals, the most pressing first.

    Args:
        biller: The biller's name.
        step: ``hour`` or ``day``.
        max_rows: The length of a page, at most 10,000.
        since: The earliest range.
        until: The latest range.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The ranges, with what was delivered in each.

    Example:
        for day in meter.reconcilable_ranges():
            print(day.customer, day.range_start, day.local)
    """
    return Call(
        "reconcilable_ranges",
        (
            argument.text("biller", biller, required=True),
            argument.text("step", step, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("since", since),
            argument.time("until", until),
            argument.time("now", now),
        ),
        result.every(ReconcilableRange),
    )


def reconcile_range(
    biller: str,
    customer: str,
    event_name: str,
    range_start: datetime,
    step: ReportStep,
    total: Quantity,
    *,
    now: datetime | None = None,
) -> Call[Reconciliation]:
    """Compare the biller's total of an hour or day with what was delivered, and keep the result.

    Args:
        biller: The biller's name.
        customer: The biller's customer.
        event_name: The biller's name of the meter.
        range_start: The range's first instant.
        step: ``hour`` or ``day``.
        total: The biller's total.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The comparison.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.reconcile_range("stripe", "cus_42", "api_tokens", midnight, "day", Decimal(120)).difference
    """
    return Call(
        "reconcile_range",
        (
            argument.text("biller", biller, required=True),
            argument.text("customer", customer, required=True),
            argument.text("event_name", event_name, required=True),
            argument.time("range_start", range_start, required=True),
            argument.text("step", step, required=True),
            argument.quantity("total", total, required=True),
            argument.time("now", now),
        ),
        result.one(Reconciliation),
    )


def reconciliation(biller: str = "stripe") -> Call[list[Reconciliation]]:
    """Return the comparisons that found a difference, the largest first.

    Args:
        biller: The biller's name.

    Returns:
        The comparisons.

    Example:
        assert meter.reconciliation() == []
    """
    return Call(
        "reconciliation", (argument.text("biller", biller, required=True),), result.every(Reconciliation)
    )

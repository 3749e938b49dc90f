"""What usage costs: sql/pricing/."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import (
    BillTiming,
    Dimensions,
    GivenPrice,
    Invoice,
    InvoiceLine,
    PlanMinimum,
    PlanPrice,
    Quantity,
    RatedLine,
    SubjectPeriod,
    TiersAfterChange,
)
from pymeter.models.pricing import as_document


def rate(
    price: GivenPrice,
    quantity: Quantity,
    *,
    billed: Quantity = 0,
    final: bool = True,
    event_count: int | None = None,
    dimensions: Dimensions | None = None,
    billed_events: int = 0,
) -> Call[list[RatedLine]]:
    """Return what a quantity costs, line by line; the sum of the amounts is the price, exact.

    Args:
        price: A price, or its JSON object.
        quantity: Of the whole period or of a slice of it; a slice may take units back.
        billed: The quantity of the same period that was rated before; the lines are the difference.
        final: Whether no slice follows: then what is due without usage, such as a minimum, is due.
        event_count: The number of events of the quantity, for percentages with a fixed amount.
        dimensions: For a matrix, the combination of the quantity, or a list of all its combinations.
        billed_events: The number of events of what was rated before.

    Returns:
        The lines, those of tiers first, then discount, maximum and minimum.

    Raises:
        InvalidInput: the price or another value is not allowed; the detail has the path in the price.

    Example:
        meter.rate({"model": "unit", "unit_amount": "0.002"}, 1500)
    """
    return Call(
        "rate",
        (
            argument.json("price", as_document(price), required=True),
            argument.quantity("quantity", quantity, required=True),
            argument.quantity("billed", billed, required=True),
            argument.boolean("final", final, required=True),
            argument.integer("event_count", "numeric", event_count),
            argument.json("dimensions", dimensions),
            argument.integer("billed_events", "numeric", billed_events, required=True),
        ),
        result.every(RatedLine),
    )


def define_price(
    plan: str,
    item: str,
    price: GivenPrice,
    *,
    metric: str | None = None,
    name: str | None = None,
    since: datetime | None = None,
    subject: str | None = None,
    bill: BillTiming | None = None,
    prorate: bool | None = None,
    tiers_after_change: TiersAfterChange | None = None,
) -> Call[PlanPrice]:
    """Define a line of a plan, or change it from a time on.

    Args:
        plan: The plan's key.
        item: The line's key within the plan.
        price: A price, or its JSON object. The plan's first price fixes its currency.
        metric: What is priced; a fixed fee of each billing cycle unless given.
        name: A title for people.
        since: From when; unless given, a first version holds from the beginning, a change from now.
        subject: A line of this subject alone, which replaces the plan's.
        bill: Of a fee: ``arrears`` (the default) or ``advance``, with the invoice of the cycle before.
        prorate: Of a fee: whether a part of a cycle costs a part, by days: it does unless False.
        tiers_after_change: Whether a change within a cycle lets tiers ``continue`` (the default) or
            ``restart``.

    Returns:
        The version. Defining what holds already changes nothing.

    Raises:
        NotFound: there is no such plan.
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the price or another value is not allowed, such as another currency.
        LockUnavailable: another session is changing prices.

    Example:
        meter.define_price("pro", "tokens", {"model": "unit", "unit_amount": "0.002"}, metric="tokens")
    """
    return Call(
        "define_price",
        (
            argument.text("plan", plan, required=True),
            argument.text("item", item, required=True),
            argument.json("price", as_document(price), required=True),
            argument.text("metric", metric),
            argument.text("name", name),
            argument.time("since", since),
            argument.text("subject", subject),
            argument.text("bill", bill),
            argument.boolean("prorate", prorate),
            argument.text("tiers_after_change", tiers_after_change),
        ),
        result.one(PlanPrice),
    )


def retire_price(
    plan: str, item: str, *, at: datetime | None = None, subject: str | None = None
) -> Call[PlanPrice]:
    """End a line of a plan, until it is defined again.

    Args:
        plan: The plan's key.
        item: The line's key within the plan.
        at: When; now unless given.
        subject: End this subject's own line, so that the plan's holds again.

    Returns:
        The version that ends it, or the one that had ended it before.

    Raises:
        NotFound: there is no such plan or line.
        InvalidInput: a value is not allowed.
        LockUnavailable: another session is changing prices.

    Example:
        meter.retire_price("pro", "tokens")
    """
    return Call(
        "retire_price",
        (
            argument.text("plan", plan, required=True),
            argument.text("item", item, required=True),
            argument.time("at", at),
            argument.text("subject", subject),
        ),
        result.one(PlanPrice),
    )


def plan_minimums(
    plan: str | None = None, *, at: datetime | None = None, upcoming: bool = False
) -> Call[list[PlanMinimum]]:
    """Return what a cycle of each plan costs at least at a moment.

    Args:
        plan: One plan's; all unless given.
        at: When; now unless given.
        upcoming: Also those that begin later.

    Returns:
        The minimums, by plan and time; a plan without one has none.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.

    Example:
        meter.plan_minimums("pro")
    """
    return Call(
        "plan_minimums",
        (argument.text("plan", plan), argument.time("at", at), argument.boolean("upcoming", upcoming)),
        result.every(PlanMinimum),
    )


def prices(
    plan: str | None = None,
    *,
    at: datetime | None = None,
    subject: str | None = None,
    upcoming: bool = False,
) -> Call[list[PlanPrice]]:
    """Return the lines of plans that hold at a moment.

    Args:
        plan: One plan's; all unless given.
        at: When; now unless given.
        subject: With this subject's own lines instead of those that they replace.
        upcoming: Also the versions that begin later; one that ends the line has the price None.

    Returns:
        The lines, by plan, item and time.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.

    Example:
        meter.prices("pro")
    """
    return Call(
        "prices",
        (
            argument.text("plan", plan),
            argument.time("at", at),
            argument.text("subject", subject),
            argument.boolean("upcoming", upcoming),
        ),
        result.every(PlanPrice),
    )


def set_plan_minimum(
    plan: str, amount: Quantity | None, *, since: datetime | None = None
) -> Call[PlanMinimum]:
    """Set what a whole billing cycle of a plan costs at least.

    Args:
        plan: The plan's key.
        amount: In the plan's currency; None: nothing.
        since: From when; unless given, a first minimum holds from the beginning, a change from now.

    Returns:
        The minimum.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.
        LockUnavailable: another session is changing prices.

    Example:
        meter.set_plan_minimum("pro", 50)
    """
    return Call(
        "set_plan_minimum",
        (
            argument.text("plan", plan, required=True),
            argument.quantity("amount", amount, required=True),
            argument.time("since", since),
        ),
        result.one(PlanMinimum),
    )


def invoice(
    subject: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    period: SubjectPeriod | str | None = None,
    now: datetime | None = None,
    as_of: datetime | None = None,
) -> Call[list[InvoiceLine]]:
    """Return what a subject owes for a window, line by line; nothing is stored.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        since: The window's start, included.
        until: The window's end, not included.
        period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
            running cycle if neither is given.
        now: The moment to ask about; the database's clock unless given.
        as_of: By what was known at this watermark.

    Returns:
        The lines, a total for each currency at the end.

    Raises:
        InvalidInput: a value is not allowed.
        EventsDropped: events that an amount depends on were dropped.
        LockUnavailable: `as_of` is after the last watermark.

    Example:
        [(line.name or line.item, line.amount) for line in meter.invoice("acct_1")]
    """
    return Call(
        "invoice", _invoice_arguments(subject, since, until, period, now, as_of), result.every(InvoiceLine)
    )


def invoice_json(
    subject: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    period: SubjectPeriod | str | None = None,
    now: datetime | None = None,
    as_of: datetime | None = None,
) -> Call[Invoice]:
    """Return what `invoice` does as one document.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        since: The window's start, included.
        until: The window's end, not included.
        period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
            running cycle if neither is given.
        now: The moment to ask about; the database's clock unless given.
        as_of: By what was known at this watermark.

    Returns:
        The header, the lines and the totals.

    Raises:
        InvalidInput: a value is not allowed.
        EventsDropped: events that an amount depends on were dropped.
        LockUnavailable: `as_of` is after the last watermark.

    Example:
        meter.invoice_json("acct_1").totals["EUR"].amount
    """
    return Call("invoice_json", _invoice_arguments(subject, since, until, period, now, as_of), _document)


def _invoice_arguments(
    subject: str,
    since: datetime | None,
    until: datetime | None,
    period: str | None,
    now: datetime | None,
    as_of: datetime | None,
) -> tuple[argument.Argument, ...]:
    return (
        argument.text("subject", subject, required=True),
        argument.time("since", since),
        argument.time("until", until),
        argument.text("period", period),
        argument.time("now", now),
        argument.time("as_of", as_of),
    )


def _document(rows: Sequence[dict[str, Any]]) -> Invoice:
    (value,) = rows[0].values()
    return Invoice.model_validate(value)

"""What usage costs: sql/pricing/."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Dimensions, GivenPrice, Quantity, RatedLine
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

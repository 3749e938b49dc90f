"""Pushes that are uncertain, rejected or held: resolved, planned anew, or left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Push, Quantity, SettledHour, UncertainHour


def uncertain_hours(
    biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
) -> Call[list[UncertainHour]]:
    """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`.

    Args:
        biller: The biller's name.
        max_rows: The length of a page, at most 10,000.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The hours, the most urgent first.

    Example:
        for hour in meter.uncertain_hours():
            print(hour.customer, hour.hour, hour.uncertain_total)
    """
    return Call(
        "uncertain_hours",
        (
            argument.text("biller", biller, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("now", now),
        ),
        result.every(UncertainHour),
    )


def settle_hour(
    biller: str,
    customer: str,
    event_name: str,
    hour: datetime,
    total: Quantity,
    *,
    delivered_total: Quantity | None = None,
    now: datetime | None = None,
    counting_since: datetime | None = None,
    identifiers: Sequence[str] | None = None,
) -> Call[SettledHour]:
    """Resolve the uncertain pushes of an hour by the biller's total for it.

    What is missing from the total is planned anew only when it is still missing after the policy's
    ``absence``.

    Args:
        biller: The biller's name.
        customer: The biller's customer.
        event_name: The biller's name of the meter.
        hour: The hour, as `uncertain_hours` returned it.
        total: The biller's total of that hour.
        delivered_total: As `uncertain_hours` returned it: if it has changed since, nothing is
            decided.
        now: The moment to ask about; the database's clock unless given.
        counting_since: When the biller began to count under this name: what was sent earlier is in
            no total.
        identifiers: Those that the biller has, if it lists them: they decide instead of the total.

    Returns:
        The verdict.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
    """
    return Call(
        "settle_hour",
        (
            argument.text("biller", biller, required=True),
            argument.text("customer", customer, required=True),
            argument.text("event_name", event_name, required=True),
            argument.time("hour", hour, required=True),
            argument.quantity("total", total, required=True),
            argument.quantity("delivered_total", delivered_total),
            argument.time("now", now),
            argument.time("counting_since", counting_since),
            argument.texts("identifiers", identifiers),
        ),
        result.one(SettledHour),
    )


def resolve_push(identifier: str, delivered: bool, *, now: datetime | None = None) -> Call[Push]:
    """Manually resolve an uncertain push.

    Args:
        identifier: The push's identifier.
        delivered: True: the biller has it. False: it has not, and another push replaces it.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The push as it is now.

    Raises:
        InvalidInput: the identifier is unknown, or the push is not uncertain.

    Example:
        meter.resolve_push("pm_0c8e...", delivered=True)
    """
    return Call(
        "resolve_push",
        (
            argument.text("identifier", identifier, required=True),
            argument.boolean("delivered", delivered, required=True),
            argument.time("now", now),
        ),
        result.one(Push),
    )


def retry_pushes(
    biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
) -> Call[list[Push]]:
    """Plan rejected or held pushes anew, all or one.

    The new ones have identifiers of their own, and go to the customers and event names of the
    present mappings. It overrides the hold: a negative value is sent, what is too old or late gets
    the present time.

    Args:
        biller: The biller's name.
        identifier: One push; all unless given.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The new pushes.

    Raises:
        InvalidInput: the identifier is unknown.

    Example:
        meter.retry_pushes()
    """
    return Call(
        "retry_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("identifier", identifier),
            argument.time("now", now),
        ),
        result.every(Push),
    )


def leave_pushes(
    biller: str = "stripe",
    identifier: str | None = None,
    reason: str | None = None,
    *,
    now: datetime | None = None,
) -> Call[list[Push]]:
    """Decide that rejected or held pushes are not sent: one, or all with a reason.

    They become ``left``, which `report_status` counts.

    Args:
        biller: The biller's name.
        identifier: One push.
        reason: All pushes that are held or rejected for this reason.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The pushes as they are now.

    Raises:
        InvalidInput: neither `identifier` nor `reason` is given, or the identifier is unknown.

    Example:
        meter.leave_pushes(reason="too_old")
    """
    return Call(
        "leave_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("identifier", identifier),
            argument.text("reason", reason),
            argument.time("now", now),
        ),
        result.every(Push),
    )


def fail_pushes(
    biller: str,
    event_id: str,
    identifiers: Sequence[str],
    code: str | None,
    *,
    event_name: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Call[int]:
    """Apply a biller's asynchronous error report, once per `event_id`.

    Args:
        biller: The biller's name.
        event_id: The biller's id of the report.
        identifiers: The pushes that it names: they become rejected.
        code: The biller's error code.
        event_name: What else was delivered under this name between `since` and `until` is to be
            reconciled first.
        since: The start of the time that the report is about.
        until: Its end.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        How many pushes were rejected.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.fail_pushes("stripe", "evt_1", ["pm_0c8e..."], "meter_event_invalid_value")
    """
    return Call(
        "fail_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("event_id", event_id, required=True),
            argument.texts("identifiers", identifiers),
            argument.text("code", code, required=True),
            argument.text("event_name", event_name),
            argument.time("since", since),
            argument.time("until", until),
            argument.time("now", now),
        ),
        result.number,
    )

"""GET /v1/billing/meters/{id}/event_summaries: what a customer used, as the account lets it be seen."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from . import errors, paging
from .call import Call
from .ledger import Event
from .meters import WINDOWS, Meter

_MINUTE = 60


def list_summaries(call: Call) -> dict[str, Any]:
    call.world.reads.spend(call.account.settings.read_budget)
    meter = call.world.meters.by_id(call.path["id"])
    if meter is None:
        raise errors.not_found("billing meter", call.path["id"])
    customer = call.params.get("customer")
    if not customer:
        raise errors.missing("customer")
    if not call.account.settings.customer_exists(call.world.name, customer):
        raise errors.invalid(f"No such customer: '{customer}'", param="customer", code="resource_missing")
    start, end, window = _range(call.params)
    events = [event for event in _visible(call, meter, customer) if start <= event.timestamp < end]
    summaries = [
        _summary(call, meter, customer, *bounds, of_window)
        for bounds, of_window in _windows(events, start, end, window, call.account.settings.empty_windows)
    ]
    if call.account.settings.summary_order == "newest":
        summaries.reverse()
    return paging.page(summaries, call.params, f"/v1/billing/meters/{meter.id}/event_summaries")


def _range(params: dict[str, Any]) -> tuple[int, int, int | None]:
    """The bounds and the window's size in seconds, or the 400 for what is missing or not aligned."""
    start, end = _second(params, "start_time"), _second(params, "end_time")
    if start >= end:
        raise errors.invalid("start_time must be before end_time.", param="start_time")
    grouping: str | None = params.get("value_grouping_window")
    if grouping is not None and grouping not in WINDOWS:
        message = "Invalid value_grouping_window: must be one of day or hour"
        raise errors.invalid(message, param="value_grouping_window")
    size = WINDOWS[grouping] if grouping else None
    unit = size or _MINUTE
    for name, second in (("start_time", start), ("end_time", end)):
        if second % unit:
            raise errors.invalid(
                f"{name} must be aligned with {grouping or 'minute'} boundaries.", param=name
            )
    return start, end, size


def _second(params: dict[str, Any], name: str) -> int:
    if params.get(name) is None:
        raise errors.missing(name)
    return errors.integer(params, name)


def _visible(call: Call, meter: Meter, customer: str) -> list[Event]:
    """Counted events that are old enough to be seen."""
    newest_seen = call.now - call.account.settings.visibility_delay
    counted = call.world.ledger.counted(meter.event_name, customer)
    return [event for event in counted if event.meter_id == meter.id and event.received_at <= newest_seen]


def _windows(
    events: Sequence[Event], start: int, end: int, size: int | None, empty: str
) -> Iterator[tuple[tuple[int, int], Sequence[Event]]]:
    """Bounds and events of each window, oldest first."""
    size = size or end - start
    by_start: defaultdict[int, list[Event]] = defaultdict(list)
    for event in events:
        by_start[start + (event.timestamp - start) // size * size].append(event)
    first_seconds = range(start, end, size) if empty == "zero" else sorted(by_start)
    for first in first_seconds:
        yield (first, first + size), by_start.get(first, [])


def _summary(
    call: Call, meter: Meter, customer: str, start: int, end: int, events: Sequence[Event]
) -> dict[str, Any]:
    total: Decimal | float = meter.aggregate(events)
    if call.account.settings.summary_numbers == "float":
        # Added up in binary where the formula adds: 0.1 + 0.2 is 0.30000000000000004.
        adds = meter.formula == "sum" and not meter.event_time_window
        total = sum(float(event.amount) for event in events) if adds else float(total)
    prefix = "mtrusg_" if call.world.livemode else "mtrusg_test_"
    digest = hashlib.sha256(f"{meter.id}/{customer}/{start}/{end}".encode()).hexdigest()
    return {
        "id": prefix + digest[:24],
        "object": "billing.meter_event_summary",
        "aggregated_value": total,
        "end_time": end,
        "livemode": call.world.livemode,
        "meter": meter.id,
        "start_time": start,
    }

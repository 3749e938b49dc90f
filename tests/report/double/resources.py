"""Meters of v1 and core events of v2, as resources that are created, listed and retrieved."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from . import errors, paging
from .call import Call
from .meters import Meter

_CORE_EVENTS_DEFAULT = 20
_COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def create_meter(call: Call) -> dict[str, Any]:
    params = call.params
    for name in ("display_name", "event_name", "default_aggregation"):
        if not params.get(name):
            raise errors.missing(name)
    try:
        meter = call.world.meters.create(
            params["event_name"],
            created=int(call.now),
            formula=params["default_aggregation"].get("formula", ""),
            customer_key=params.get("customer_mapping", {}).get("event_payload_key", "stripe_customer_id"),
            value_key=params.get("value_settings", {}).get("event_payload_key", "value"),
            event_time_window=params.get("event_time_window"),
        )
    except ValueError as error:
        raise errors.invalid(str(error)) from error
    return meter.as_stripe()


def change_meter(call: Call) -> dict[str, Any]:
    meter = _meter(call)
    meter.deactivated_at = int(call.now) if call.path["change"] == "deactivate" else None
    return meter.as_stripe()


def retrieve_meter(call: Call) -> dict[str, Any]:
    return _meter(call).as_stripe()


def list_meters(call: Call) -> dict[str, Any]:
    meters = [meter.as_stripe() for meter in call.world.meters.newest_first()]
    if wanted := call.params.get("status"):
        meters = [meter for meter in meters if meter["status"] == wanted]
    return paging.page(meters, call.params, "/v1/billing/meters")


def retrieve_core_event(call: Call) -> dict[str, Any]:
    _report_failures(call)
    event = call.world.core_events.retrieve(call.path["id"], call.now)
    if event is None:
        raise errors.StripeError(404, f"Event {call.path['id']} not found.", code="not_found")
    return event


def list_core_events(call: Call) -> dict[str, Any]:
    """Newest first, by type and time; ``next_page_url`` carries the filters on."""
    _report_failures(call)
    params = call.params
    limit = paging.limit_of(params, default=_CORE_EVENTS_DEFAULT)
    events = _of_types(call.world.core_events.newest_first(call.now), params.get("types"))
    events = _created_within(events, params.get("created", {}))
    start = int(params.get("page", "0"))
    rest = len(events) > start + limit
    return {
        "data": events[start : start + limit],
        "next_page_url": _page_url(params, start + limit, limit) if rest else None,
        "previous_page_url": _page_url(params, max(0, start - limit), limit) if start else None,
    }


def _report_failures(call: Call) -> None:
    settings = call.account.settings
    call.world.core_events.report(call.now, settings, older_than=settings.error_report_delay)


def _of_types(events: list[dict[str, Any]], types: dict[str, str] | str | None) -> list[dict[str, Any]]:
    if not types:
        return events
    wanted = set(types.values()) if isinstance(types, dict) else {types}
    return [event for event in events if event["type"] in wanted]


def _created_within(events: list[dict[str, Any]], bounds: dict[str, str]) -> list[dict[str, Any]]:
    for name, text in bounds.items():
        if name not in _COMPARISONS:
            raise errors.invalid(f"Received unknown parameter: created[{name}]", param=f"created[{name}]")
        try:
            bound = datetime.fromisoformat(text)
        except ValueError:
            raise errors.invalid(f"Invalid timestamp: {text}", param=f"created[{name}]") from None
        within = _COMPARISONS[name]
        events = [event for event in events if within(datetime.fromisoformat(event["created"]), bound)]
    return events


def _page_url(params: dict[str, Any], start: int, limit: int) -> str:
    flat: dict[str, str] = {"page": str(start), "limit": str(limit)}
    for group in ("types", "created"):
        values = params.get(group, {})
        named = values.items() if isinstance(values, dict) else [("0", values)]
        flat |= {f"{group}[{name}]": value for name, value in named}
    return f"/v2/core/events?{urlencode(flat)}"


def _meter(call: Call) -> Meter:
    meter = call.world.meters.by_id(call.path["id"])
    if meter is None:
        raise errors.not_found("billing meter", call.path["id"])
    return meter

"""POST /v1/billing/meter_events: validation, deduplication, counting."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from . import errors, quantities
from .call import Call
from .core_events import Failure
from .ledger import COUNTED, LOST, REJECTED, Event
from .meters import Meter
from .settings import Settings

PAST_SECONDS_MAX = 35 * 86400
FUTURE_SECONDS_MAX = 5 * 60
NAME_LENGTH_MAX = 100
_PARAMETERS = {"event_name", "payload", "identifier", "timestamp", "expand"}


def create(call: Call, *, lost: bool = False, fails_later: str | None = None) -> dict[str, Any]:
    """Accept one event. ``lost`` and ``fails_later`` are faults: what becomes of it after its 200."""
    event, settings, ledger = _read(call), call.account.settings, call.world.ledger
    if settings.duplicates_first:
        _refuse_duplicate(call, event)
    failures = list(_failures(call, event))
    for failure in failures:
        if failure.code not in settings.asynchronous:
            raise errors.invalid(failure.message, code=_sync_code(failure.code))
    _refuse_duplicate(call, event)
    failure = failures[0] if failures else None
    if fails_later and not failure:
        meter = call.world.meters.by_event_name(event.event_name)
        failure = Failure(event, fails_later, "Failed later, as asked for.", meter.id if meter else None)
    event.state = REJECTED if failure else LOST if lost else COUNTED
    event.code = failure.code if failure else None
    accepted = ledger.accept(event)
    if failure:
        failure.event = accepted
        call.world.core_events.fail(failure)
    return _as_stripe(call, accepted)


def _refuse_duplicate(call: Call, event: Event) -> None:
    if seen := call.world.ledger.seen(event.identifier, call.now):
        call.world.ledger.refuse_duplicate(seen, event.content)
        raise errors.duplicate(event.identifier)


def _read(call: Call) -> Event:
    """The event as it was sent; only its form is judged here."""
    params = call.params
    if unknown := set(params) - _PARAMETERS:
        name = min(unknown)
        raise errors.invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    event_name = _name(params, "event_name")
    if event_name is None:
        raise errors.missing("event_name")
    payload = params.get("payload")
    if not isinstance(payload, dict) or not payload:
        raise errors.missing("payload")
    meter = call.world.meters.by_event_name(event_name)
    value_text = payload.get(meter.value_key if meter else "value")
    return Event(
        sequence=0,
        identifier=_name(params, "identifier") or str(uuid.uuid4()),
        event_name=event_name,
        customer=call.traits.customer or None,
        value_text=value_text,
        value=_value(value_text, call.account.settings),
        timestamp=_timestamp(params, int(call.now)),
        timestamp_sent="timestamp" in params,
        received_at=call.now,
        request_id=call.request_id,
        idempotency_key=call.idempotency_key,
        meter_id=meter.id if meter else None,
    )


def _name(params: dict[str, Any], param: str) -> str | None:
    text = params.get(param)
    if text is not None and (not isinstance(text, str) or not 0 < len(text) <= NAME_LENGTH_MAX):
        raise errors.invalid(f"Invalid {param}: must be 1 to {NAME_LENGTH_MAX} characters.", param=param)
    return text


def _value(text: str | None, settings: Settings) -> Decimal | None:
    if text is None:
        return None
    return quantities.parse(text, decimals=settings.decimals, negatives=settings.negatives)


def _timestamp(params: dict[str, Any], now: int) -> int:
    return errors.integer(params, "timestamp") if "timestamp" in params else now


def _failures(call: Call, event: Event) -> Iterator[Failure]:
    """Everything that keeps this event from being counted, in the order in which it is checked."""
    meter = call.world.meters.by_event_name(event.event_name)
    if meter is None or not meter.active:
        code = "archived_meter" if meter else "no_meter"
        message = f"No active meter found for event name {event.event_name}."
        yield Failure(event, code, message, meter.id if meter else None)
        return
    for code, message in (*_wrong_time(event, int(call.now)), *_wrong_customer(call, event, meter)):
        yield Failure(event, code, message, meter.id)
    for code, message in _wrong_value(event, meter):
        yield Failure(event, code, message, meter.id)


def _wrong_time(event: Event, now: int) -> Iterator[tuple[str, str]]:
    oldest, newest = now - PAST_SECONDS_MAX, now + FUTURE_SECONDS_MAX
    if event.timestamp < oldest:
        message = f"The event timestamp cannot be more than 35 days in past, {oldest} or later."
        yield "timestamp_too_far_in_past", message
    if event.timestamp > newest:
        message = f"The event timestamp cannot be more than 5 minutes in future, {newest} or earlier."
        yield "timestamp_in_future", message


def _wrong_customer(call: Call, event: Event, meter: Meter) -> Iterator[tuple[str, str]]:
    if event.customer is None:
        message = f"Customer mapping key {meter.customer_key} not found in payload."
        yield "meter_event_no_customer_defined", message
    elif not call.account.settings.customer_exists(call.world.name, event.customer):
        yield "meter_event_customer_not_found", f"No such customer: '{event.customer}'"


def _wrong_value(event: Event, meter: Meter) -> Iterator[tuple[str, str]]:
    if event.value_text is None and meter.formula == "count":
        return
    if event.value is None or event.value_text is None:
        yield "meter_event_invalid_value", f"Invalid value in payload: {meter.value_key}={event.value_text}."
    elif quantities.significant_digits(event.value_text) > quantities.SIGNIFICANT_DIGITS_MAX:
        most = quantities.SIGNIFICANT_DIGITS_MAX
        yield "meter_event_value_too_many_digits", f"The value has more than {most} significant digits."


def _sync_code(code: str) -> str | None:
    """Of the codes of error events, only the unknown customer's is also one of a synchronous error."""
    return "resource_missing" if code == "meter_event_customer_not_found" else None


def _as_stripe(call: Call, event: Event) -> dict[str, Any]:
    return {
        "object": "billing.meter_event",
        "created": int(event.received_at),
        "event_name": event.event_name,
        "identifier": event.identifier,
        "livemode": call.world.livemode,
        "payload": call.params["payload"],
        "timestamp": event.timestamp,
    }

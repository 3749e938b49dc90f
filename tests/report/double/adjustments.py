"""POST /v1/billing/meter_event_adjustments: cancel an event within 24 hours of its receipt."""

from __future__ import annotations

from typing import Any

from . import errors
from .call import Call
from .ledger import CANCELED

CANCEL_SECONDS_MAX = 24 * 3600


def create(call: Call) -> dict[str, Any]:
    params = call.params
    for name in ("event_name", "type"):
        if not params.get(name):
            raise errors.missing(name)
    if params["type"] != "cancel":
        raise errors.invalid("Invalid type: must be cancel.", param="type")
    identifier = call.traits.identifier
    if not identifier:
        raise errors.missing("cancel[identifier]")
    event = call.world.ledger.find(params["event_name"], identifier)
    if event is None:
        message = f"No meter event found with identifier {identifier}."
        raise errors.invalid(message, param="cancel[identifier]", code="resource_missing")
    if call.now - event.received_at > CANCEL_SECONDS_MAX:
        raise errors.invalid("Meter events can only be canceled within 24 hours of being received.")
    event.state = CANCELED
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": event.event_name,
        "livemode": call.world.livemode,
        "status": "pending",
        "type": "cancel",
    }

"""One exchange with a client: from its request to what goes back, with the faults between."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

from . import adjustments, errors, invoice_items, meter_events, quantities, resources, summaries
from .call import Call, identify, parse
from .faults import Rule
from .wire import Request, Response
from .world import Account, World

ANSWER, DROP, HALF = "answer", "drop", "half"

_HANDLERS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "create_meter_event": meter_events.create,
    "create_adjustment": adjustments.create,
    "create_meter": resources.create_meter,
    "change_meter": resources.change_meter,
    "list_meters": resources.list_meters,
    "retrieve_meter": resources.retrieve_meter,
    "list_event_summaries": summaries.list_summaries,
    "create_invoice_item": invoice_items.create,
    "list_invoice_items": invoice_items.list_items,
    "list_core_events": resources.list_core_events,
    "retrieve_core_event": resources.retrieve_core_event,
}
_NUMBER = re.compile(rb'"number:(-?[0-9.]+)"')
_request_numbers = count(1)


@dataclass(slots=True)
class Exchange:
    """What goes back: an answer, half of one, or nothing but a broken connection."""

    response: Response | None
    delivery: str = ANSWER


async def exchange(account: Account, request: Request) -> Exchange:
    """Let the account answer one request."""
    request_id = f"req_{next(_request_numbers):014d}"
    try:
        world = identify(account, request)
    except errors.StripeError as error:
        account.unauthorized += 1
        return Exchange(_error(error, request_id))
    route = "unknown"
    try:
        call = parse(account, world, request, request_id)
        route = call.route
        outcome = await _answer(call)
    except errors.StripeError as error:
        outcome = Exchange(_error(error, request_id))
    except Exception:
        account.internal_errors.append(traceback.format_exc())
        traceback.print_exc(file=sys.stderr)
        outcome = Exchange(_error(errors.StripeError(500, "The double itself failed."), request_id))
    count_request(world, route, outcome)
    return outcome


async def _answer(call: Call) -> Exchange:
    """The call with the first fault that strikes it."""
    rule = call.account.faults.strike(call.traits)
    if call.route == "create_meter_event" and call.traits.identifier:
        call.world.ledger.attempts[call.traits.identifier] += 1
    if rule and rule.kind == "drop_before":
        return Exchange(None, DROP)
    if rule and rule.kind == "rate_limited":
        raise errors.rate_limited(rule.reason)
    _admit(call)
    return await _once_per_key(call, rule)


def _admit(call: Call) -> None:
    """Live mode limits meter events, a sandbox all its calls."""
    settings, world = call.account.settings, call.world
    if call.route == "create_meter_event" or not world.livemode:
        world.rate.admit((settings.rate_limit or {}).get(world.name), settings.rate_limit_reason)


async def _once_per_key(call: Call, rule: Rule | None) -> Exchange:
    """Replay what the Idempotency-Key has stored, or execute and store."""
    keys, key = call.world.keys, call.idempotency_key
    if key is None:
        return await _alone_in_lane(call, rule)
    if stored := keys.replay(key, call.fingerprint, call.now):
        return Exchange(stored, delivery(rule))
    keys.begin(key)
    try:
        return await _alone_in_lane(call, rule)
    finally:
        keys.end(key)


async def _alone_in_lane(call: Call, rule: Rule | None) -> Exchange:
    """One call at a time for each customer and meter, however long it takes; a second one is a 409."""
    lane, in_flight = call.lane, call.world.in_flight
    if lane is None:
        return await _at_its_pace(call, rule)
    in_flight.enter(lane)
    try:
        return await _at_its_pace(call, rule)
    finally:
        in_flight.leave(lane)


async def _at_its_pace(call: Call, rule: Rule | None) -> Exchange:
    """Execute between the pauses that the latency and the fault ask for."""
    if call.account.settings.latency > 0:
        await asyncio.sleep(call.account.settings.latency)
    if await pause(call, rule, "before") == DROP:
        return Exchange(None, DROP)
    response = _execute(call, rule)
    if await pause(call, rule, "after") == DROP:
        return Exchange(None, DROP)
    return Exchange(response, delivery(rule))


async def pause(call: Call, rule: Rule | None, point: str) -> str:
    if rule and rule.kind == f"slow_{point}":
        await asyncio.sleep(rule.delay)
    if rule and rule.kind == f"hold_{point}":
        return await call.account.faults.hold(rule, call.traits)
    return ANSWER


def _execute(call: Call, rule: Rule | None) -> Response:
    """Apply the call, unless a fault says otherwise, and store the answer under its key."""
    kind = rule.kind if rule else ""
    if rule and kind == "error_before":
        response, stored = _error(errors.broken(rule.status, rule.should_retry), call.request_id), rule.stored
    else:
        response, stored = _apply(call, rule)
    if rule and kind == "error_after":
        response, stored = _error(errors.broken(rule.status, rule.should_retry), call.request_id), rule.stored
    if stored and call.idempotency_key:
        call.world.keys.store(call.idempotency_key, call.fingerprint, response, call.now)
    return response


def _apply(call: Call, rule: Rule | None) -> tuple[Response, bool]:
    """The handler's answer, and whether an Idempotency-Key remembers it."""
    try:
        if rule and rule.kind in ("lose", "reject_later") and call.route == "create_meter_event":
            later = rule.code if rule.kind == "reject_later" else None
            body = meter_events.create(call, lost=rule.kind == "lose", fails_later=later)
        else:
            body = _HANDLERS[call.route](call)
    except errors.StripeError as error:
        return _error(error, call.request_id), error.stored
    return Response(200, _json(body), _headers(call.request_id)), True


def delivery(rule: Rule | None) -> str:
    return {"drop_after": DROP, "half_response": HALF}.get(rule.kind if rule else "", ANSWER)


def _error(error: errors.StripeError, request_id: str) -> Response:
    return Response(error.status, _json(error.body), _headers(request_id) | error.headers)


def _headers(request_id: str) -> dict[str, str]:
    return {"Request-Id": request_id}


def _json(body: dict[str, Any]) -> bytes:
    """Decimals become JSON numbers with all their digits."""
    text = json.dumps(body, default=_number, indent=2)
    return _NUMBER.sub(rb"\1", text.encode())


def _number(value: object) -> str:
    if isinstance(value, Decimal):
        return f"number:{quantities.plain(value)}"
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def count_request(world: World, route: str, outcome: Exchange) -> None:
    answered = outcome.response is not None and outcome.delivery == ANSWER
    world.requests[route][str(outcome.response.status) if answered and outcome.response else "dropped"] += 1

"""The same double as OpenMeter: it ingests CloudEvents under ``/api/v1``, and is asked for sums of meters.

As OpenMeter does, it knows an event by source and id for 32 days, answers a repeated one like a new one,
keeps events that no meter counts (a meter that is created later counts them), cuts times to seconds, and adds
up and answers in binary. What it has is in the world "live"; clock, faults, settings and counters are those
of Stripe's double. Any token is accepted, and none, unless the setting ``keys`` names some.
"""

from __future__ import annotations

import json
import math
import re
import sys
import traceback
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from . import errors
from .call import Call
from .exchange import DROP, Exchange, count_request, delivery, pause
from .faults import Matchable, Rule
from .ledger import COUNTED, LOST, REJECTED, Event
from .meters import DAY, HOUR, Meter
from .wire import Request, Response
from .world import Account, World

DEDUP_SECONDS = 32 * 86400
_ROUTES = {
    ("POST", "/api/v1/events"): "create_meter_event",
    ("GET", "/api/v1/meters"): "list_meters",
}
_QUERY = re.compile(r"/api/v1/meters/(?P<slug>[^/]+)/query")
_REQUIRED = ("id", "source", "specversion", "type", "subject")
_WINDOWS = {"MINUTE": 60, "HOUR": HOUR, "DAY": DAY}
_FORMULAS = {"sum": "SUM", "count": "COUNT", "last": "LATEST"}
_numbers = count(1)


class Problem(Exception):
    """An answer that is an error: a problem document."""

    def __init__(self, status: int, title: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        body = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:request:double/{next(_numbers):06d}",
        }
        headers = {"Content-Type": "application/problem+json", **self.headers}
        return Response(self.status, json.dumps(body).encode(), headers)


async def exchange(account: Account, request: Request) -> Exchange:
    """Let the account answer one request."""
    world, route = account.worlds["live"], "unknown"
    try:
        _authorize(account, request)
        call, event = _parse(account, world, request)
        route = call.route
        outcome = await _answer(call, event)
    except Problem as problem:
        outcome = Exchange(problem.response())
    except Exception:
        account.internal_errors.append(traceback.format_exc())
        traceback.print_exc(file=sys.stderr)
        outcome = Exchange(Problem(500, "Internal Server Error", "The double itself failed.").response())
    count_request(world, route, outcome)
    return outcome


def _authorize(account: Account, request: Request) -> None:
    if account.settings.keys is None:
        return
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    if key not in account.settings.keys:
        account.unauthorized += 1
        raise Problem(401, "Unauthorized", f"invalid token: {key}")
    if key in account.settings.forbidden_keys:
        raise Problem(403, "Forbidden", "the token may not do this")


def _parse(account: Account, world: World, request: Request) -> tuple[Call, dict[str, Any]]:
    query = _QUERY.fullmatch(request.path)
    route = "list_event_summaries" if query else _ROUTES.get((request.method, request.path))
    if route is None or (query and request.method != "GET"):
        raise Problem(404, "Not Found", f"no {request.method} {request.path}")
    event = _event_in(request) if route == "create_meter_event" else {}
    call = Call(
        account=account,
        world=world,
        route=route,
        path=query.groupdict() if query else {},
        params=parse_qs(request.query),
        request_id="",
        idempotency_key=None,
        fingerprint="",
        traits=Matchable(route, world.name, event.get("subject"), event.get("type"), event.get("id")),
    )
    return call, event


def _event_in(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "")
    if kind != "application/cloudevents+json":
        raise Problem(400, "Bad Request", f"invalid content type: {kind}")
    try:
        event = json.loads(request.body, parse_float=str)
    except ValueError as error:
        raise Problem(400, "Bad Request", f"invalid event: {error}") from error
    missing = [name for name in _REQUIRED if not isinstance(event.get(name), str) or not event[name]]
    if missing or event["specversion"] != "1.0" or not isinstance(event.get("data") or {}, dict):
        raise Problem(400, "Bad Request", f"invalid event: {', '.join(missing) or 'specversion, data'}")
    return dict(event)


# --- one call, with the fault that strikes it ---------------------------------------------------------------


async def _answer(call: Call, event: dict[str, Any]) -> Exchange:
    rule = call.account.faults.strike(call.traits)
    kind = rule.kind if rule else ""
    if event:
        call.world.ledger.attempts[event["id"]] += 1
    if kind == "drop_before":
        return Exchange(None, DROP)
    if kind == "rate_limited":
        raise Problem(429, "Too Many Requests", "slow down", Retry_After="1")
    if await pause(call, rule, "before") == DROP:
        return Exchange(None, DROP)
    response = _execute(call, event, rule)
    if await pause(call, rule, "after") == DROP:
        return Exchange(None, DROP)
    return Exchange(response, delivery(rule))


def _execute(call: Call, event: dict[str, Any], rule: Rule | None) -> Response:
    kind = rule.kind if rule else ""
    response = None
    if kind != "error_before":
        try:
            response = _apply(call, event, lost=kind == "lose")
        except Problem as problem:
            response = problem.response()
    if response is None or kind == "error_after":
        status = rule.status if rule else 500
        response = Problem(status, "Error", "An error occurred in the double, as asked for.").response()
    return response


def _apply(call: Call, event: dict[str, Any], *, lost: bool) -> Response:
    if event:
        _ingest(call, event, lost=lost)
        return Response(204, b"")
    if call.route == "list_meters":
        return _json([_as_openmeter(meter) for meter in call.world.meters.newest_first()])
    return _json(_query(call))


# --- ingestion ----------------------------------------------------------------------------------------------


def _ingest(call: Call, sent: dict[str, Any], *, lost: bool) -> None:
    """Keep the event, unless it is known. The answer is the same."""
    world, now = call.world, call.now
    value_text = (sent.get("data") or {}).get("value")
    event = Event(
        sequence=0,
        identifier=sent["id"],
        event_name=sent["type"],
        customer=sent["subject"],
        value_text=None if value_text is None else str(value_text),
        value=_value(value_text),
        timestamp=_time(sent.get("time"), now),
        timestamp_sent=sent.get("time") is not None,
        received_at=now,
        request_id=sent["source"],
        idempotency_key=None,
    )
    seen = world.cloud_events.get((sent["source"], sent["id"]))
    if seen and now - seen.received_at < DEDUP_SECONDS:
        world.ledger.refuse_duplicate(seen, event.content)
        return
    event.state = LOST if lost else COUNTED if event.value is not None else REJECTED
    world.cloud_events[sent["source"], sent["id"]] = world.ledger.accept(event)


def _value(given: object) -> Decimal | None:
    try:
        value = Decimal(str(given))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _time(text: str | None, now: float) -> int:
    try:
        return math.floor(datetime.fromisoformat(text).timestamp() if text else now)
    except ValueError as error:
        raise Problem(400, "Bad Request", f"invalid event: {error}") from error


# --- meters -------------------------------------------------------------------------------------------------


def slug_of(meter: Meter) -> str:
    """A meter's name, which is not the type of its events."""
    return re.sub(r"[^a-z0-9]+", "_", meter.event_name.lower()).strip("_") + "_total"


def _as_openmeter(meter: Meter) -> dict[str, Any]:
    created = datetime.fromtimestamp(meter.created, UTC).isoformat()
    return {
        "id": meter.id,
        "slug": slug_of(meter),
        "eventType": meter.event_name,
        "aggregation": _FORMULAS[meter.formula],
        "valueProperty": f"$.{meter.value_key}",
        "createdAt": created,
        "updatedAt": created,
    }


def _query(call: Call) -> dict[str, Any]:
    try:
        call.world.reads.spend(call.account.settings.read_budget)
    except errors.StripeError as error:
        raise Problem(429, "Too Many Requests", str(error)) from error
    meter = next((m for m in call.world.meters.newest_first() if slug_of(m) == call.path["slug"]), None)
    if meter is None:
        raise Problem(404, "Not Found", f"meter not found: {call.path['slug']}")
    (size,), (subject,) = call.params["windowSize"], call.params["subject"]
    start, end = (datetime.fromisoformat(call.params[name][0]).timestamp() for name in ("from", "to"))
    if size not in _WINDOWS or start >= end:
        raise Problem(400, "Bad Request", f"windowSize {' or '.join(_WINDOWS)}, and from before to")
    seconds = _WINDOWS[size]
    newest = call.now - call.account.settings.visibility_delay
    windows: defaultdict[int, list[Event]] = defaultdict(list)
    for event in call.world.ledger.counted(meter.event_name, subject):
        if start <= event.timestamp < end and event.received_at <= newest:
            windows[event.timestamp // seconds * seconds].append(event)
    rows = [_row(subject, at, at + seconds, windows[at]) for at in sorted(windows)]
    return {"windowSize": size, "data": rows}


def _row(subject: str, start: int, end: int, events: list[Event]) -> Mapping[str, Any]:
    return {
        "subject": subject,
        "groupBy": {},
        "value": sum(float(event.amount) for event in events),
        "windowStart": _moment(start),
        "windowEnd": _moment(end),
    }


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def _json(body: object) -> Response:
    return Response(200, json.dumps(body).encode())

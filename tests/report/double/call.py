"""One API call: who asks, for which route, with which parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import errors, wire
from .faults import Matchable
from .world import Account, World

_ROUTES = [
    (method, re.compile(pattern), route)
    for method, pattern, route in [
        ("POST", "/v1/billing/meter_events", "create_meter_event"),
        ("POST", "/v1/billing/meter_event_adjustments", "create_adjustment"),
        ("POST", "/v1/billing/meters", "create_meter"),
        ("POST", "/v1/billing/meters/(?P<id>[^/]+)/(?P<change>deactivate|reactivate)", "change_meter"),
        ("GET", "/v1/billing/meters", "list_meters"),
        ("GET", "/v1/billing/meters/(?P<id>[^/]+)", "retrieve_meter"),
        ("GET", "/v1/billing/meters/(?P<id>[^/]+)/event_summaries", "list_event_summaries"),
        ("POST", "/v1/invoiceitems", "create_invoice_item"),
        ("GET", "/v1/invoiceitems", "list_invoice_items"),
        ("GET", "/v2/core/events", "list_core_events"),
        ("GET", "/v2/core/events/(?P<id>[^/]+)", "retrieve_core_event"),
    ]
]


@dataclass(slots=True)
class Call:
    """A request that names a route of the API and a valid key."""

    account: Account
    world: World
    route: str
    path: dict[str, str]
    params: dict[str, Any]
    request_id: str
    idempotency_key: str | None
    fingerprint: str
    traits: Matchable

    @property
    def now(self) -> float:
        return self.account.clock.now()

    @property
    def lane(self) -> tuple[str, str] | None:
        """The (customer, meter) that only one call at a time may write to."""
        traits = self.traits
        if self.route != "create_meter_event" or traits.customer is None or traits.event_name is None:
            return None
        return traits.customer, traits.event_name


def identify(account: Account, request: wire.Request) -> World:
    """The world of the request's key, or the 401 or 403."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise errors.no_key()
    world = account.world_of_key(key)
    settings = account.settings
    if world is None or (settings.keys is not None and key not in settings.keys):
        raise errors.wrong_key(key)
    if key in settings.forbidden_keys:
        raise errors.forbidden(key)
    return world


def parse(account: Account, world: World, request: wire.Request, request_id: str) -> Call:
    """The call that a request of this world makes, or the 404 or 400."""
    route, path = _find_route(request)
    # Only reads of v2 exist here, so that parameters are form-encoded on both versions.
    text = request.query if request.method == "GET" else request.body.decode()
    try:
        params = wire.parameters(text)
    except wire.MalformedRequest as error:
        raise errors.invalid(str(error)) from error
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    fingerprint = f"{request.method} {request.path} {sorted(params.items(), key=lambda item: item[0])}"
    return Call(
        account=account,
        world=world,
        route=route,
        path=path,
        params=params,
        request_id=request_id,
        idempotency_key=key,
        fingerprint=fingerprint,
        traits=_traits(world, route, params),
    )


def _find_route(request: wire.Request) -> tuple[str, dict[str, str]]:
    for method, pattern, route in _ROUTES:
        if method == request.method and (match := pattern.fullmatch(request.path)):
            return route, match.groupdict()
    raise errors.StripeError(404, f"Unrecognized request URL ({request.method}: {request.path}).")


def _traits(world: World, route: str, params: dict[str, Any]) -> Matchable:
    """What fault rules and lanes need to know, read without judging it."""
    if route in ("create_invoice_item", "list_invoice_items"):
        metadata = params.get("metadata")
        identifier = metadata.get("pymeter_identifier") if isinstance(metadata, dict) else None
        return Matchable(route, world.name, params.get("customer"), params.get("currency"), identifier)
    event_name = params.get("event_name")
    payload = params.get("payload")
    cancel = params.get("cancel")
    meter = world.meters.by_event_name(event_name) if isinstance(event_name, str) else None
    customer = params.get("customer")
    if isinstance(payload, dict):
        customer = payload.get(meter.customer_key if meter else "stripe_customer_id")
    identifier = cancel.get("identifier") if isinstance(cancel, dict) else params.get("identifier")
    return Matchable(route, world.name, customer, event_name, identifier)

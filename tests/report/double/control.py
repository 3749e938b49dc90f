"""The control API under ``/_double/``, which is no part of Stripe: JSON in, JSON out, no key.

Amounts are exact decimal texts. ``client.Double`` is this API as a Python class.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

from . import quantities
from .meters import last_value
from .wire import Request, Response
from .world import WORLDS, Account


class Ports(Protocol):
    """What the control API can do to the port of the API."""

    def refuse(self) -> None: ...
    async def accept(self) -> None: ...


class Control:
    """Answers requests whose path begins with ``/_double/``."""

    def __init__(self, account: Account, ports: Ports) -> None:
        self._account = account
        self._ports = ports
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Awaitable[object]]] = {
            ("GET", "process"): self._process,
            ("POST", "reset"): self._reset,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._clock,
            ("GET", "settings"): self._settings,
            ("POST", "settings"): self._settings,
            ("POST", "meters"): self._create_meter,
            ("POST", "archive"): self._archive_meter,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "held"): self._held,
            ("POST", "release"): self._release,
            ("POST", "refuse"): self._refuse,
            ("POST", "accept"): self._accept,
            ("GET", "totals"): self._totals,
            ("GET", "events"): self._events,
            ("GET", "invoice_items"): self._invoice_items,
            ("POST", "delete_invoice_item"): self._delete_invoice_item,
            ("GET", "counters"): self._counters,
            ("POST", "report"): self._report,
            ("GET", "core_events"): self._core_events,
        }

    async def answer(self, request: Request) -> Response:
        name = request.path.removeprefix("/_double/")
        route = self._routes.get((request.method, name))
        if route is None:
            return _json(404, {"error": f"no {request.method} {request.path}"})
        try:
            body = json.loads(request.body) if request.body else {}
            return _json(200, await route(dict(parse_qsl(request.query)) | body))
        except (ValueError, TypeError, KeyError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    async def _process(self, _asked: dict[str, Any]) -> object:
        return {"process_id": os.getpid(), "cpu_seconds": time.process_time()}

    async def _reset(self, _asked: dict[str, Any]) -> object:
        self._account.faults.release(outcome="drop")
        self._account.reset()
        await self._ports.accept()
        return {}

    async def _clock(self, asked: dict[str, Any]) -> object:
        clock = self._account.clock
        if "set" in asked:
            clock.set(float(asked["set"]))
        if "advance" in asked:
            clock.advance(float(asked["advance"]))
        if "frozen" in asked:
            (clock.freeze if asked["frozen"] else clock.resume)()
        return {"now": clock.now()}

    async def _settings(self, asked: dict[str, Any]) -> object:
        self._account.settings.update(asked)
        return self._account.settings.as_dict()

    async def _create_meter(self, asked: dict[str, Any]) -> object:
        """One meter in each world asked for; without ``world``, in both."""
        worlds = [asked.pop("world")] if "world" in asked else WORLDS
        created = int(self._account.clock.now())
        return {
            world: self._account.worlds[world].meters.create(created=created, **asked).as_stripe()
            for world in worlds
        }

    async def _archive_meter(self, asked: dict[str, Any]) -> object:
        """The meter of an event name, in both worlds: it counts nothing more, and can still be read."""
        for world in WORLDS:
            meter = self._account.worlds[world].meters.by_event_name(asked["event_name"])
            if meter is None:
                raise ValueError(f"no meter has the event name {asked['event_name']}")
            meter.deactivated_at = int(self._account.clock.now())
        return {}

    async def _faults(self, _asked: dict[str, Any]) -> object:
        return [asdict(rule) for rule in self._account.faults.rules]

    async def _add_fault(self, asked: dict[str, Any]) -> object:
        return asdict(self._account.faults.add(asked))

    async def _remove_faults(self, asked: dict[str, Any]) -> object:
        self._account.faults.remove(int(asked["id"]) if "id" in asked else None)
        return {}

    async def _held(self, asked: dict[str, Any]) -> object:
        at_least, timeout = int(asked.get("at_least", 0)), float(asked.get("timeout", 0))
        return await self._account.faults.wait_until_held(at_least, timeout)

    async def _release(self, asked: dict[str, Any]) -> object:
        rule = int(asked["rule"]) if asked.get("rule") is not None else None
        return {"released": self._account.faults.release(rule, asked.get("outcome", "answer"))}

    async def _refuse(self, _asked: dict[str, Any]) -> object:
        self._ports.refuse()
        return {}

    async def _accept(self, _asked: dict[str, Any]) -> object:
        await self._ports.accept()
        return {}

    async def _totals(self, asked: dict[str, Any]) -> object:
        """What counts, for each customer, event name and UTC hour, by the meter's formula and by each."""
        world = self._account.worlds[asked["world"]]
        rows = []
        for (customer, event_name, hour), events in world.ledger.by_hour().items():
            meter = world.meters.by_event_name(event_name)
            assert meter is not None  # an event without a meter is not counted
            rows.append(
                {
                    "customer": customer,
                    "event_name": event_name,
                    "hour": datetime.fromtimestamp(hour, UTC).isoformat(),
                    "total": quantities.plain(meter.aggregate(events)),
                    "sum": quantities.plain(quantities.exact_sum(event.amount for event in events)),
                    "count": len(events),
                    "last": quantities.plain(last_value(events)),
                }
            )
        return rows

    async def _events(self, asked: dict[str, Any]) -> object:
        """Accepted events in order, those after the ``after``-th."""
        world = self._account.worlds[asked["world"]]
        return [event.as_dict(world.name) for event in world.ledger.events[int(asked.get("after", 0)) :]]

    async def _invoice_items(self, asked: dict[str, Any]) -> object:
        """All items, in the order in which they were created."""
        return [item.as_stripe() for item in self._account.worlds[asked["world"]].invoice_items]

    async def _delete_invoice_item(self, asked: dict[str, Any]) -> object:
        """As a person does who deletes a pending item in the dashboard."""
        items = self._account.worlds[asked["world"]].invoice_items
        items.remove(next(item for item in items if item.id == asked["id"]))
        return {}

    async def _counters(self, asked: dict[str, Any]) -> object:
        return self._account.worlds[asked["world"]].counters() | {
            "unauthorized": self._account.unauthorized,
            "internal_errors": self._account.internal_errors,
        }

    async def _report(self, asked: dict[str, Any]) -> object:
        """Report at once what has failed so far, whatever ``error_report_delay`` says."""
        core_events = self._account.worlds[asked["world"]].core_events
        return core_events.report(self._account.clock.now(), self._account.settings)

    async def _core_events(self, asked: dict[str, Any]) -> object:
        return self._account.worlds[asked["world"]].core_events.newest_first(self._account.clock.now())


def _json(status: int, body: object) -> Response:
    return Response(status, json.dumps(body).encode())

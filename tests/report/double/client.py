"""The control API as a Python class: what a test holds in its hand, whichever process the double runs in."""

from __future__ import annotations

import http.client
import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from .webhook import Webhook, webhook

_TIMEOUT_SECONDS = 60


class Double:
    """A running double. ``world`` is everywhere "live" or "test", the world of sk_live_ or sk_test_ keys."""

    def __init__(self, url: str, control_url: str) -> None:
        self.url = url
        self.control_url = control_url

    @property
    def base_addresses(self) -> dict[str, str]:
        """For ``stripe.StripeClient(key, base_addresses=...)``."""
        return {"api": self.url, "meter_events": self.url}

    def process(self) -> dict[str, Any]:
        """The ``process_id`` of the double and the ``cpu_seconds`` it has used."""
        return self._get("process")

    # The account

    def reset(self) -> None:
        """As new: no meters, no events, no faults, default settings, real time."""
        self._post("reset")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings (settings.py names them); returns all."""
        return self._post("settings", changes)

    def create_meter(self, event_name: str, **options: Any) -> dict[str, Any]:
        """A meter in both worlds, or in ``world``: formula, customer_key, value_key, event_time_window.

        Returns the meters as Stripe would, by world.
        """
        return self._post("meters", {"event_name": event_name, **options})

    def archive_meter(self, event_name: str) -> None:
        """Archive the meter of that name in both worlds; another may be created under the same name."""
        self._post("archive", {"event_name": event_name})

    # The clock

    def now(self) -> float:
        return float(self._get("clock")["now"])

    def advance(self, seconds: float) -> float:
        return float(self._post("clock", {"advance": seconds})["now"])

    def set_clock(self, at: float | datetime) -> float:
        """Make it ``at`` now, and go on from there."""
        seconds = at.timestamp() if isinstance(at, datetime) else at
        return float(self._post("clock", {"set": seconds})["now"])

    def freeze(self, *, frozen: bool = True) -> float:
        """Stop the clock (or let it go on), to stand exactly on a limit."""
        return float(self._post("clock", {"frozen": frozen})["now"])

    # Faults

    def fault(self, kind: str, **rule: Any) -> int:
        """Add a rule (kinds and fields: faults.py), which strikes once without ``times``; returns its id."""
        return int(self._post("faults", {"kind": kind, **rule})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force; ``hits`` says how often each has struck."""
        return self._get("faults")

    def clear_faults(self, rule: int | None = None) -> None:
        self._request("DELETE", "faults", {} if rule is None else {"id": rule})

    def refuse_connections(self) -> None:
        """Break all connections and refuse new ones, until ``accept_connections``."""
        self._post("refuse")

    def accept_connections(self) -> None:
        self._post("accept")

    def wait_until_held(self, at_least: int = 1, *, timeout: float = 20) -> list[dict[str, Any]]:
        """Wait until that many calls are held by ``hold_before`` and ``hold_after``; returns them."""
        held = self._get("held", at_least=at_least, timeout=timeout)
        if len(held) < at_least:
            raise TimeoutError(f"{len(held)} calls are held after {timeout} s, not {at_least}")
        return held

    def release(self, rule: int | None = None, *, outcome: str = "answer") -> int:
        """Let held calls go on: with their ``answer``, or ``drop`` the connection. Returns how many."""
        return int(self._post("release", {"rule": rule, "outcome": outcome})["released"])

    # What has been counted

    def totals(self, world: str = "live", *, by: str = "total") -> dict[tuple[str, str, datetime], Decimal]:
        """Exact totals by (customer, event name, UTC hour); ``by``: sum, count or last, not the formula."""
        return {
            (row["customer"], row["event_name"], datetime.fromisoformat(row["hour"])): Decimal(row[by])
            for row in self._get("totals", world=world)
        }

    def events(self, world: str = "live", *, after: int = 0) -> list[dict[str, Any]]:
        """Every event answered with 200, in order; its ``state`` is counted, rejected, lost or canceled."""
        return self._get("events", world=world, after=after)

    def counters(self, world: str = "live") -> dict[str, Any]:
        """Requests by route and status, duplicates, conflicts (409), replays and more.

        A right sender leaves counted_twice empty and duplicates_that_differ at 0.
        """
        return self._get("counters", world=world)

    def invoice_items(self, world: str = "live") -> list[dict[str, Any]]:
        """Every invoice item, in the order in which they were created."""
        return self._get("invoice_items", world=world)

    def delete_invoice_item(self, item_id: str, world: str = "live") -> None:
        """What a person can do in the dashboard to an item that is on no final invoice."""
        self._post("delete_invoice_item", {"id": item_id, "world": world})

    # Error events

    def report_failures(self, world: str = "live") -> list[str]:
        """Make error events of what has failed after its 200; returns their ids."""
        return self._post("report", {"world": world})

    def core_events(self, world: str = "live") -> list[dict[str, Any]]:
        """The error events made so far, newest first, with their data."""
        return self._get("core_events", world=world)

    def webhook(self, event_id: str, secret: str, world: str = "live", *, at: float | None = None) -> Webhook:
        """The signed delivery of one error event."""
        for event in self.core_events(world):
            if event["id"] == event_id:
                return webhook(event, secret, at=at)
        raise LookupError(f"no event {event_id} in {world}")

    # The connection

    def _get(self, name: str, **query: Any) -> Any:
        return self._request("GET", f"{name}?{urlencode(query)}", None)

    def _post(self, name: str, body: dict[str, Any] | None = None) -> Any:
        return self._request("POST", name, body or {})

    def _request(self, method: str, target: str, body: dict[str, Any] | None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.control_url).netloc, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/_double/{target}", None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(answer["error"])
        return answer

"""Meters: what an event name counts, and how events become one number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from . import quantities
from .ledger import Event

HOUR = 3600
DAY = 86400
WINDOWS = {"hour": HOUR, "day": DAY}
FORMULAS = ("sum", "count", "last")


@dataclass
class Meter:
    """One billing meter of one world. Event name and formula never change."""

    id: str
    world: str
    event_name: str
    formula: str
    customer_key: str
    value_key: str
    event_time_window: str | None
    created: int
    deactivated_at: int | None = None

    @property
    def active(self) -> bool:
        return self.deactivated_at is None

    def aggregate(self, events: Sequence[Event]) -> Decimal:
        """What these events are worth together, by this meter's formula."""
        counting = list(self._newest_of_each_window(events) if self.event_time_window else events)
        if self.formula == "count":
            return Decimal(len(counting))
        if self.formula == "last":
            return last_value(counting)
        return quantities.exact_sum(event.amount for event in counting)

    def _newest_of_each_window(self, events: Iterable[Event]) -> Iterable[Event]:
        """Pre-aggregated meters keep only the event received last in each UTC hour or day."""
        size = WINDOWS[self.event_time_window or "hour"]
        in_order = sorted(events, key=lambda event: event.sequence)
        return {event.timestamp // size: event for event in in_order}.values()

    def as_stripe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "billing.meter",
            "created": self.created,
            "customer_mapping": {"event_payload_key": self.customer_key, "type": "by_id"},
            "default_aggregation": {"formula": self.formula},
            "display_name": self.event_name,
            "event_name": self.event_name,
            "event_time_window": self.event_time_window,
            "livemode": self.world == "live",
            "status": "active" if self.active else "inactive",
            "status_transitions": {"deactivated_at": self.deactivated_at},
            "updated": self.deactivated_at or self.created,
            "value_settings": {"event_payload_key": self.value_key},
        }


class Meters:
    """The meters of one world. One event name has at most one active meter."""

    def __init__(self, world: str) -> None:
        self._world = world
        self._by_id: dict[str, Meter] = {}
        self._by_event_name: dict[str, Meter] = {}

    def create(
        self,
        event_name: str,
        *,
        created: int,
        formula: str = "sum",
        customer_key: str = "stripe_customer_id",
        value_key: str = "value",
        event_time_window: str | None = None,
    ) -> Meter:
        """A new active meter; ValueError when the formula, the window or the event name cannot be taken."""
        if formula not in FORMULAS:
            raise ValueError(f"formula is one of {', '.join(FORMULAS)}")
        if event_time_window not in (None, *WINDOWS):
            raise ValueError("event_time_window is hour, day or nothing")
        if (taken := self._by_event_name.get(event_name)) and taken.active:
            raise ValueError(f"an active meter has the event name {event_name} already")
        prefix = "mtr_test_" if self._world == "test" else "mtr_"
        digest = hashlib.sha256(f"{self._world}/{event_name}/{len(self._by_id)}".encode()).hexdigest()
        meter = Meter(
            id=prefix + digest[:24],
            world=self._world,
            event_name=event_name,
            formula=formula,
            customer_key=customer_key,
            value_key=value_key,
            event_time_window=event_time_window,
            created=created,
        )
        self._by_id[meter.id] = self._by_event_name[event_name] = meter
        return meter

    def by_event_name(self, event_name: str) -> Meter | None:
        """The newest meter of that name, active or not."""
        return self._by_event_name.get(event_name)

    def by_id(self, meter_id: str) -> Meter | None:
        return self._by_id.get(meter_id)

    def newest_first(self) -> list[Meter]:
        return list(reversed(self._by_id.values()))


def last_value(events: Sequence[Event]) -> Decimal:
    """The value with the latest timestamp; of equal timestamps, the one received last."""
    if not events:
        return Decimal(0)
    return max(events, key=lambda event: (event.timestamp, event.sequence)).amount

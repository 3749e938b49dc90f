"""What has been accepted, in order, and what has been counted: the truth that tests compare with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

DEDUP_SECONDS = 24 * 3600

COUNTED = "counted"
REJECTED = "rejected"  # answered with 200, failed later
LOST = "lost"  # answered with 200, never counted, never reported (fault ``lose``)
CANCELED = "canceled"


@dataclass(slots=True)
class Event:
    """One meter event that was answered with 200. ``value`` is None where the text is no number."""

    sequence: int
    identifier: str
    event_name: str
    customer: str | None
    value_text: str | None
    value: Decimal | None
    timestamp: int
    timestamp_sent: bool
    received_at: float
    request_id: str
    idempotency_key: str | None
    state: str = COUNTED
    code: str | None = None
    meter_id: str | None = None
    """The meter that had the event name when it was received."""

    @property
    def amount(self) -> Decimal:
        """The value of a counted event; a count meter also counts events without one."""
        return Decimal(0) if self.value is None else self.value

    @property
    def content(self) -> tuple[object, ...]:
        """What an identifier should be bound to, and Stripe does not check."""
        timestamp = self.timestamp if self.timestamp_sent else None
        return (self.event_name, self.customer, self.value_text, timestamp)

    def as_dict(self, world: str) -> dict[str, Any]:
        row = asdict(self) | {"world": world}
        del row["value"]  # value_text says it exactly
        return row


class Ledger:
    """The accepted events of one world."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.duplicates = 0
        # Duplicates that asked for something else than what was accepted: the sender's bug, unseen at Stripe.
        self.duplicates_that_differ = 0
        self.attempts: Counter[str] = Counter()
        self._newest: dict[str, Event] = {}
        self._by_customer: defaultdict[tuple[str, str | None], list[Event]] = defaultdict(list)

    def seen(self, identifier: str, now: float) -> Event | None:
        """The event that holds this identifier: accepted less than 24 hours ago."""
        event = self._newest.get(identifier)
        return event if event and now - event.received_at < DEDUP_SECONDS else None

    def refuse_duplicate(self, seen: Event, content: tuple[object, ...]) -> None:
        self.duplicates += 1
        self.duplicates_that_differ += seen.content != content

    def accept(self, event: Event) -> Event:
        accepted = replace(event, sequence=len(self.events) + 1)
        self.events.append(accepted)
        self._newest[accepted.identifier] = accepted
        self._by_customer[accepted.event_name, accepted.customer].append(accepted)
        return accepted

    def find(self, event_name: str, identifier: str) -> Event | None:
        event = self._newest.get(identifier)
        return event if event and event.event_name == event_name else None

    def counted(self, event_name: str, customer: str) -> list[Event]:
        return [event for event in self._by_customer[event_name, customer] if event.state == COUNTED]

    def by_hour(self) -> dict[tuple[str, str, int], list[Event]]:
        """Counted events by (customer, event name, first second of the UTC hour)."""
        hours: defaultdict[tuple[str, str, int], list[Event]] = defaultdict(list)
        for event in self.events:
            if event.state == COUNTED and event.customer is not None:
                hours[event.customer, event.event_name, event.timestamp // 3600 * 3600].append(event)
        return dict(sorted(hours.items()))

    def counted_twice(self) -> list[str]:
        """Identifiers that count more than once: resent after their 24 hours."""
        times = Counter(event.identifier for event in self.events if event.state == COUNTED)
        return [identifier for identifier, count in times.items() if count > 1]

    def sent_repeatedly(self) -> dict[str, int]:
        """Identifiers that arrived in more than one request, whatever was answered."""
        return {identifier: count for identifier, count in self.attempts.items() if count > 1}


def states(events: Iterable[Event] | Sequence[Event]) -> dict[str, int]:
    return dict(Counter(event.state for event in events))

"""The two worlds of an account, test and live: nothing of one is seen in the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from .clock import Clock
from .core_events import CoreEvents
from .faults import Faults
from .idempotency import IdempotencyKeys
from .items import InvoiceItem
from .ledger import Event, Ledger
from .limits import CallRate, InFlight, ReadBudget
from .meters import Meters
from .settings import Settings

WORLDS = ("test", "live")
_KEY_PREFIXES = {"sk_test_": "test", "rk_test_": "test", "sk_live_": "live", "rk_live_": "live"}


class World:
    """Everything that exists once for test mode and once for live mode."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.meters = Meters(name)
        self.ledger = Ledger()
        self.keys = IdempotencyKeys()
        self.in_flight = InFlight()
        self.rate = CallRate()
        self.reads = ReadBudget()
        self.cloud_events: dict[tuple[str, str], Event] = {}  # by source and id
        self.invoice_items: list[InvoiceItem] = []
        self.core_events = CoreEvents(livemode=name == "live")
        # By route and by status, where "dropped" is a call that got no (whole) answer.
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def livemode(self) -> bool:
        return self.name == "live"

    def counters(self) -> dict[str, Any]:
        return {
            "requests": {route: dict(statuses) for route, statuses in self.requests.items()},
            "accepted": len(self.ledger.events),
            "duplicates": self.ledger.duplicates,
            "duplicates_that_differ": self.ledger.duplicates_that_differ,
            "conflicts": self.in_flight.conflicts,
            "replays": self.keys.replays,
            "reads": self.reads.used,
            "peak_calls_per_second": self.rate.peak,
            "counted_twice": self.ledger.counted_twice(),
            "sent_repeatedly": self.ledger.sent_repeatedly(),
        }


class Account:
    """Both worlds, and what they share: the clock, the settings, the faults."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As new: no meters, no events, default settings, real time, no faults."""
        self.clock = Clock()
        self.settings = Settings()
        self.faults = Faults()
        self.worlds = {name: World(name) for name in WORLDS}
        self.unauthorized = 0
        # Mistakes of the double itself; a test that uses it should find none.
        self.internal_errors: list[str] = []

    def world_of_key(self, key: str) -> World | None:
        for prefix, name in _KEY_PREFIXES.items():
            if key.startswith(prefix):
                return self.worlds[name]
        return None

"""Where Stripe's documentation leaves a choice, or a test wants another account: one setting each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

# What Stripe documents: calls to meter_events a second in live mode, all calls a second in a sandbox.
DOCUMENTED_RATE_LIMITS = {"live": 1000, "test": 25}

_CHOICES = {
    "empty_windows": ("omit", "zero"),
    "summary_order": ("newest", "oldest"),
    "summary_numbers": ("decimal", "float"),
    "sample_identifier": ("identifier", "idempotency_key"),
}


@dataclass
class Settings:
    """Defaults are an account that works; where sources disagree, the stricter side."""

    # Every call takes at least this long, so that calls overlap and a second one for the same customer and
    # meter is seen. At 0 every call is over before the next is read, and a 409 could never happen.
    latency: float = 0.001

    # None: every key with a known prefix. Forbidden keys are valid but may do nothing (403).
    keys: list[str] | None = None
    forbidden_keys: list[str] = field(default_factory=list)

    # None: every customer exists in both worlds. Otherwise {"live": [...], "test": [...]}.
    known_customers: dict[str, list[str]] | None = None
    unknown_customers: list[str] = field(default_factory=list)

    # Failures with these codes come later, as an error event after a 200, instead of at once as a 400.
    asynchronous: list[str] = field(default_factory=list)
    # Whether a resent identifier is a duplicate even if its event would now fail, as one that has become too
    # old meanwhile. Undocumented; without it, a sender is told "too old" about what has been counted.
    duplicates_first: bool = False
    decimals: bool = True
    negatives: bool = True

    # {"live": calls a second, "test": ...}; None or a missing world: no limit. The reason is the header's.
    rate_limit: dict[str, int] | None = None
    rate_limit_reason: str | None = "endpoint-rate"
    # Calls to event_summaries that each world may make until the next reset of the double.
    read_budget: int | None = None

    # Seconds (of the movable clock) between receiving an event and seeing it in a summary.
    visibility_delay: float = 0
    empty_windows: str = "omit"
    summary_order: str = "newest"
    # decimal: exact digits; float: added up in binary, with the noise that brings.
    summary_numbers: str = "decimal"

    # Seconds (of the movable clock) until failures that come later are reported, how many of each code are
    # named, and by what: the documentation says "idempotency key" where its example shows an identifier.
    error_report_delay: float = 0
    error_samples: int = 5
    sample_identifier: str = "identifier"

    def update(self, changes: dict[str, Any]) -> None:
        """Set the named settings; ValueError names one that does not exist or a choice that is not one."""
        known = {setting.name for setting in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no setting {name!r}; there are {', '.join(sorted(known))}")
            if name in _CHOICES and value not in _CHOICES[name]:
                raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}")
        for name, value in changes.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def customer_exists(self, world: str, customer: str) -> bool:
        if customer in self.unknown_customers:
            return False
        return self.known_customers is None or customer in self.known_customers.get(world, [])

"""Faults on demand: rules say which calls go wrong, at which point, and how often."""

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict, dataclass, field, fields
from typing import Any

KINDS = {
    "drop_before": "the connection breaks, nothing is applied",
    "drop_after": "applied and stored under the Idempotency-Key, then the connection breaks unanswered",
    "half_response": "applied, then the connection breaks in the middle of the answer's body",
    "error_before": "an error (`status`, 500 unless said), nothing is applied",
    "error_after": "applied, but answered with an error (`status`, 500 unless said)",
    "rate_limited": "a 429, nothing is applied, with `reason` as Stripe-Rate-Limited-Reason if given",
    "slow_before": "`delay` seconds pass before it is applied",
    "slow_after": "applied, then `delay` seconds pass before the answer",
    "hold_before": "stops before it is applied, until the test releases it",
    "hold_after": "applied, then stops before the answer, until the test releases it",
    "reject_later": "a 200, then not counted, and reported in an error event with `code`",
    "lose": "a 200, then neither counted nor ever reported",
}
ROUTES = (
    "create_meter_event",
    "create_adjustment",
    "create_meter",
    "change_meter",
    "list_meters",
    "retrieve_meter",
    "list_event_summaries",
    "create_invoice_item",
    "list_invoice_items",
    "list_core_events",
    "retrieve_core_event",
)


@dataclass
class Rule:
    """Which calls a fault befalls. The first rule that matches a call decides."""

    id: int
    kind: str
    times: int | None = 1  # None: until removed
    skip: int = 0  # let this many matching calls pass first
    probability: float = 1.0
    seed: int = 0
    route: str = "create_meter_event"  # "*": every route
    world: str | None = None
    customer: str | None = None
    event_name: str | None = None
    identifier: str | None = None
    status: int = 500
    stored: bool = True  # whether error_before and error_after are what the Idempotency-Key remembers
    should_retry: str | None = None  # the Stripe-Should-Retry header of an error
    reason: str | None = None
    code: str = "meter_event_invalid_value"
    delay: float = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.route not in (*ROUTES, "*"):
            raise ValueError(f"no route {self.route!r}; there are {', '.join(ROUTES)} and *")
        self._random = random.Random(self.seed)

    def strikes(self, call: Matchable) -> bool:
        """Whether this call is hit; counts it when it is."""
        if (self.times is not None and self.hits >= self.times) or not self._covers(call):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.probability < 1 and self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def _covers(self, call: Matchable) -> bool:
        if self.route not in ("*", call.route):
            return False
        wanted = ("world", "customer", "event_name", "identifier")
        return all(getattr(self, name) in (None, getattr(call, name)) for name in wanted)


@dataclass(slots=True)
class Matchable:
    """What rules look at."""

    route: str
    world: str
    customer: str | None = None
    event_name: str | None = None
    identifier: str | None = None


@dataclass
class _Held:
    rule: Rule
    call: Matchable
    released: asyncio.Future[str]


@dataclass
class Faults:
    """The rules in force, in the order they were added, and the calls that are held."""

    rules: list[Rule] = field(default_factory=list)
    _held: list[_Held] = field(default_factory=list)
    _last_id: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, wanted: dict[str, Any]) -> Rule:
        settable = {rule_field.name for rule_field in fields(Rule)} - {"id", "hits"}
        if unknown := set(wanted) - settable:
            names = ", ".join(sorted(settable))
            raise ValueError(f"a rule has no {', '.join(sorted(unknown))}; it has {names}")
        self._last_id += 1
        rule = Rule(id=self._last_id, **wanted)
        self.rules.append(rule)
        return rule

    def remove(self, rule_id: int | None) -> None:
        """Remove one rule, or all; what a removed rule holds stays held until released."""
        self.rules = [rule for rule in self.rules if rule_id is not None and rule.id != rule_id]

    def strike(self, call: Matchable) -> Rule | None:
        return next((rule for rule in self.rules if rule.strikes(call)), None)

    async def hold(self, rule: Rule, call: Matchable) -> str:
        """Wait for the test; the answer is ``answer`` or ``drop``."""
        held = _Held(rule, call, asyncio.get_running_loop().create_future())
        self._held.append(held)
        self._changed.set()
        try:
            return await held.released
        finally:
            self._held.remove(held)

    async def wait_until_held(self, at_least: int, timeout: float) -> list[dict[str, Any]]:
        """The held calls, as soon as there are that many; what there is when the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout
        while len(self._held) < at_least and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                break
        return [asdict(held.call) | {"rule": held.rule.id} for held in self._held]

    def release(self, rule_id: int | None = None, outcome: str = "answer") -> int:
        """Let the held calls of one rule (or of all) go on, with their answer or a broken connection."""
        if outcome not in ("answer", "drop"):
            raise ValueError("a held call is released with answer or drop")
        going = [held for held in self._held if rule_id in (None, held.rule.id) and not held.released.done()]
        for held in going:
            held.released.set_result(outcome)
        return len(going)

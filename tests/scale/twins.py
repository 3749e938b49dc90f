"""One meter and four shards that are told the same: whatever they are asked, the answers are alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg
from pydantic import BaseModel

from pymeter import Meter, MeterError
from pymeter.scale import Shard, ShardedMeter, ShardMap, even_slots
from pymeter.scale.shard_map import slots_digest

Pair = tuple[Any, Any]
SHARDS = ("s1", "s2", "s3", "s4")

# What every meter draws or reads from its own clock.
_OWN = {
    *("event_id", "reservation_id", "correction_id", "statement_id", "top_up_id", "credit_id", "limit_id"),
    *("budget_id", "subscription_id", "notification_id", "delivery_id", "spike_alert_id", "push_id"),
    *("entry_id", "key_id", "price_version", "corrects", "identifier", "replaces", "replaced_by"),
    *("message_id", "hash", "previous_hash", "key", "event_after", "body", "late_of", "reverts"),
    *("recorded_at", "created_at", "defined_at", "planned_at", "changed_at", "closed_at", "watermark"),
    *("opened_at", "decided_at", "expires_at", "settled_at", "voided_at", "judged_at", "looked_at"),
    *("last_used_at", "last_maintained_at", "next_attempt_at", "first_claimed_at", "checked_at"),
    *("since_recorded", "server", "this_server", "InvoiceId", "SkuPriceId", "x_StatementHash"),
    *("x_PriceVersion", "statement_hash", "reverted_by", "description", "retired_at"),
}


def plain(value: Any, dropped: frozenset[str] = frozenset()) -> Any:
    """The value without what is each meter's own."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        if value.get("kind", value.get("x_Kind")) == "credit":
            dropped |= {"item", "x_Item", "SkuId", "explanation", "ChargeDescription"}  # have its id
        return {k: plain(v, dropped) for k, v in value.items() if k not in _OWN and k not in dropped}
    if isinstance(value, list | tuple):
        return [plain(item, dropped) for item in value]
    return value


class Refusal(NamedTuple):
    """An error, to be compared."""

    kind: str
    sqlstate: str | None
    parameter: str | None


class Twins:
    """``twins.record(...)`` records in both and compares the results."""

    def __init__(self, one: Meter, many: ShardedMeter, *, names_parameters: bool = True) -> None:
        self.one = one
        self.names_parameters = names_parameters
        self.many = many
        self.called: set[str] = set()
        self.said: set[str] = set()
        """Functions that have returned something that is not empty."""
        self.refused: dict[str, Refusal] = {}
        """Functions that both have always refused, with the first reason."""

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, Any]]:
        return lambda *arguments, **named: self.both(
            name, lambda meter: getattr(meter, name)(*arguments, **named)
        )

    def rows(
        self, name: str, *arguments: Any, dropped: frozenset[str] = frozenset(), **named: Any
    ) -> tuple[Any, Any]:
        """As a call, of a function whose rows are in the order of ids, or of nothing that is told."""
        return self.both(
            name,
            lambda meter: list(getattr(meter, name)(*arguments, **named)),
            unordered=True,
            dropped=dropped,
        )

    def by_id(self, name: str, pair: Pair, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        """A call whose first argument is an id, of which each has its own."""
        return self.both(name, lambda meter: getattr(meter, name)(self.own(meter, pair), *arguments, **named))

    def own(self, meter: object, pair: Pair) -> Any:
        """That one of a pair which is the meter's."""
        return pair[0] if meter is self.one else pair[1]

    def both(
        self,
        name: str,
        call: Callable[[Any], Any],
        *,
        unordered: bool = False,
        dropped: frozenset[str] = frozenset(),
        compares: bool = True,
    ) -> tuple[Any, Any]:
        """The results of both. `unordered`: rows that are in the order of ids; `dropped`: fields."""
        self.called.add(name)
        one, many = (self._outcome(call, meter) for meter in (self.one, self.many))
        if many not in ([], None, 0, False):
            self.said.add(name)
        if not isinstance(many, Refusal):
            self.refused[name] = Refusal("worked", "", None)
        else:
            self.refused.setdefault(name, many)
        if compares:
            left, right = plain(one, dropped), plain(many, dropped)
            if unordered:
                left, right = sorted(left, key=repr), sorted(right, key=repr)
            assert left == right, name
        return one, many

    def _outcome(self, call: Callable[[Any], Any], meter: Any) -> Any:
        try:
            return call(meter)
        except (MeterError, psycopg.Error) as error:
            parameter = getattr(error, "parameter", None) if self.names_parameters else None
            return Refusal(type(error).__name__, error.sqlstate, parameter)


def new_map(dsns: Mapping[str, str], **more: Any) -> ShardMap:
    """A map of shards with even slots."""
    shards = {name: Shard(name, number, dsn) for number, (name, dsn) in enumerate(dsns.items(), start=1)}
    return ShardMap(shards, even_slots(list(shards)), **more)


def join(meter: ShardedMeter) -> None:
    """Give every meter of the map its number."""
    for name, shard in meter.shard_map.shards.items():
        meter.meters[name].set_shard(
            shard.number, ids_above=meter.shard_map.ids_above, slots=slots_digest(meter.shard_map)
        )

"""How the shards are, and whether they are alike: definitions reach all of them, but not atomically."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from pydantic import BaseModel

from pymeter.client import Meter
from pymeter.errors import MeterError
from pymeter.models.values import Model
from pymeter.scale.client import ShardedMeter
from pymeter.scale.errors import of_shard
from pymeter.scale.map_check import map_problem
from pymeter.scale.shard_map import slot_ranges
from pymeter.scale.unfinished import UnfinishedMove, unfinished_moves
from pymeter.secrets import redact


class ShardReport(Model):
    """One shard."""

    name: str
    number: int
    schema_name: str
    slots: int
    pins: int
    """How many subjects are pinned to it."""
    problems: list[str]
    """Why it cannot be used, or what its health says."""


class Difference(Model):
    """A definition that is not alike on all shards."""

    kind: str
    key: str
    missing: list[str]
    """The shards that have none."""
    variants: list[list[str]]
    """The shards that have it, those with the same definition together."""


class ShardsStatus(Model):
    """All shards."""

    shards: list[ShardReport]
    differences: list[Difference]
    moves: list[UnfinishedMove]
    """Moves that run, or were interrupted."""

    @property
    def good(self) -> bool:
        """Whether all can be used and are alike, and no subject is closed."""
        closed = any(move.state in ("closed", "unknown") for move in self.moves)
        return not self.differences and not closed and not any(shard.problems for shard in self.shards)


Definitions = Mapping[tuple[str, str], Any]

# What each meter draws or reads from its own clock.
_OWN: Final = {
    *("limit_id", "budget_id", "spike_alert_id", "price_version", "event_after", "revision"),
    *("created_at", "defined_at", "retired_at", "recorded_at", "recorded_by", "failing_since", "disabled_at"),
    *("disabled_reason", "open_deliveries", "dead_deliveries", "oldest_open_at", "billers", "limited"),
}
# When it was first written is a matter of the clock, too.
_SINCE: Final = ("limits", "budgets", "endpoints", "report_mappings")

_KINDS: Final[Mapping[str, tuple[Callable[[Meter], Any], tuple[str, ...]]]] = {
    "metrics": (Meter.catalog, ("key",)),
    "plans": (Meter.plans, ("plan",)),
    "prices": (lambda meter: meter.prices(upcoming=True), ("plan", "item", "since")),
    "plan_minimums": (lambda meter: meter.plan_minimums(upcoming=True), ("plan", "since")),
    "settings": (Meter.settings, ("name",)),
    "limits": (lambda meter: meter.limits(max_rows=10_000), ("metric", "plan", "period", "name")),
    "budgets": (lambda meter: meter.budgets(max_rows=10_000), ("currency", "plan", "period")),
    "spike_alerts": (Meter.spike_alerts, ("metric", "within")),
    "endpoints": (Meter.endpoints, ("name",)),
    "access": (lambda meter: meter.access(), ("role", "level", "subject")),
}


def status(meter: ShardedMeter) -> ShardsStatus:
    """Ask every shard; one that does not answer has that as its problem."""
    ranges = slot_ranges(meter.shard_map)
    shards, found, moves = [], {}, {}
    for name, one in meter.meters.items():
        shard = meter.shard_map.shards[name]
        try:
            problems = _problems(meter, name)
            found[name] = _definitions(one)
            moves[name] = one.moves()
        except (psycopg.Error, MeterError) as error:
            problems = [redact(str(of_shard(error, name)).partition("\nHINT")[0].replace("\n", " "))]
        shards.append(
            ShardReport(
                name=name,
                number=shard.number,
                schema_name=shard.schema,
                slots=sum(int(last) - int(first) + 1 for first, last in map(_edges, ranges[name])),
                pins=sum(pinned == name for pinned in meter.shard_map.pins.values()),
                problems=problems,
            )
        )
    return ShardsStatus(shards=shards, differences=_differences(found), moves=unfinished_moves(meter, moves))


def compare(meters: Mapping[str, Meter]) -> list[Difference]:
    """The definitions that are not alike on these meters."""
    return _differences({name: _definitions(meter) for name, meter in meters.items()})


def _edges(given: str) -> tuple[str, str]:
    first, last = given.split("-")
    return first, last


def _problems(meter: ShardedMeter, name: str) -> list[str]:
    problem = map_problem(meter.shard_map, name, meter.meters[name].shard_state())
    return [problem] if problem else meter.meters[name].health().problems


def _definitions(meter: Meter) -> Definitions:
    found: dict[tuple[str, str], Any] = {}
    for kind, (read, keys) in _KINDS.items():
        for row in read(meter):
            if kind == "access" or getattr(row, "subject", None) is None:
                found[kind, _key(row, keys)] = _plain(kind, row)
    for biller in sorted({biller for metric in meter.catalog() for biller in metric.billers or ()}):
        for row in meter.report_mappings(biller):
            found["report_mappings", f"{biller} {row.metric}"] = _plain("report_mappings", row)
    return found


def _key(row: BaseModel, keys: tuple[str, ...]) -> str:
    return " ".join(str(value) for name in keys if (value := getattr(row, name)) is not None)


def _plain(kind: str, row: BaseModel) -> Any:
    fields = {
        name: value
        for name, value in row.model_dump().items()
        if name not in _OWN and not (name == "since" and kind in _SINCE)
    }
    if kind == "plans":
        del fields["currency"]  # prices have it; that of a subject alone is where the subject is
    if kind == "metrics":
        fields["is_retired"] = getattr(row, "retired_at", None) is not None
    return fields


def _differences(found: Mapping[str, Definitions]) -> list[Difference]:
    differences = []
    for kind, key in sorted({place for definitions in found.values() for place in definitions}):
        variants: list[tuple[Any, list[str]]] = []
        missing = []
        for name, definitions in found.items():
            value = definitions.get((kind, key))
            if value is None:
                missing.append(name)
                continue
            same = next((names for known, names in variants if known == value), None)
            if same is None:
                variants.append((value, [name]))
            else:
                same.append(name)
        if missing or len(variants) > 1:
            differences.append(
                Difference(kind=kind, key=key, missing=missing, variants=[names for _, names in variants])
            )
    return differences

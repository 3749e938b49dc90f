"""Which subject lies on which shard: a map, read from one small JSON file that every language can read.

A subject's slot is computed (:mod:`pymeter.scale.slots`), the slot's shard is looked up, and a pinned subject
overrules both. Adding a shard moves no subject: a new shard has no slots.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from pymeter.errors import InvalidInput
from pymeter.scale.errors import ShardMapError
from pymeter.scale.slots import SLOTS, slot_of

FORMAT: Final = 1
NUMBERS: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Shard:
    """One of the meters. The DSN may have ``${VARIABLE}`` in it, and never a password."""

    name: str
    number: int
    dsn: str = field(repr=False)
    schema: str = "meter"

    def connection_string(self) -> str:
        """The DSN with the environment's values. ShardMapError if a variable is not set."""

        def value(found: re.Match[str]) -> str:
            if found[1] not in os.environ:
                raise ShardMapError(
                    "a variable of the map is not set",
                    detail=f"shard {self.name}: ${{{found[1]}}}.",
                    hint=f"Set {found[1]} in the environment of this program.",
                )
            return os.environ[found[1]]

        return _VARIABLE.sub(value, self.dsn)


@dataclass(frozen=True)
class ShardMap:
    """The shards by name, the shard of each slot, and pinned subjects. Immutable: a change is a new map."""

    shards: Mapping[str, Shard]
    slots: tuple[str, ...]
    """The name of the shard of each of the 1,024 slots."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """Subjects that lie elsewhere than their slot says."""
    ids_above: int = 0
    """Ids above tell their shard."""
    oldest: str | None = None
    """The shard that has ids up to `ids_above`; None: there are none."""
    _by_number: dict[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_by_number", {shard.number: shard.name for shard in self.shards.values()})

    @property
    def names(self) -> tuple[str, ...]:
        """The shards, in the order of their numbers: the first one is changed first."""
        return tuple(self._by_number[number] for number in sorted(self._by_number))

    def shard_of(self, subject: str) -> str:
        """The name of the shard that the subject lies on."""
        return self.pins.get(subject) or self.slots[slot_of(subject)]

    def shard_of_id(self, id: int) -> str | None:
        """The name of the shard that has drawn the id; None if no shard of the map has."""
        if 0 < id <= self.ids_above:
            return self.oldest
        return self._by_number.get(id % NUMBERS) if id > 0 else None


def slots_digest(shard_map: ShardMap) -> str:
    """SHA-256 of the numbers of the shards of all slots, joined by commas: what set_shard() keeps of the map.

    Pins and further shards do not change it.
    """
    numbers = (str(shard_map.shards[name].number) for name in shard_map.slots)
    return sha256(",".join(numbers).encode()).hexdigest()


def even_slots(names: list[str]) -> tuple[str, ...]:
    """The slots in as many ranges as there are shards; none is longer by more than one."""
    return tuple(names[slot * len(names) // SLOTS] for slot in range(SLOTS))


def read_map(path: str | os.PathLike[str]) -> ShardMap:
    """The map in a file. ShardMapError says what is wrong with it."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ShardMapError(
            "the map of shards cannot be read",
            detail=f"{path}: {error.strerror}.",
            hint="Make one with: pymeter shard init",
        ) from None
    except ValueError as error:
        raise ShardMapError("the map of shards is no JSON", detail=f"{path}: {error}.") from None
    try:
        return _parse(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ShardMapError):
            raise
        raise ShardMapError(
            "the map of shards has another form",
            detail=f"{path}: {type(error).__name__} {error}.",
            hint="pymeter/scale/README.md shows the form.",
        ) from None


def write_map(path: str | os.PathLike[str], shard_map: ShardMap) -> None:
    """Write the file: whoever reads it meanwhile sees the old map or the new one, and nothing else."""
    target = Path(path)
    text = json.dumps(_document(shard_map), indent=2, ensure_ascii=False) + "\n"
    # Not by the number of the process: two containers that share the file may have the same one.
    written = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with written.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)


def _document(shard_map: ShardMap) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "ids_above": shard_map.ids_above,
        "oldest": shard_map.oldest,
        "shards": {
            name: {"number": shard.number, "dsn": shard.dsn, "schema": shard.schema}
            for name, shard in ((name, shard_map.shards[name]) for name in shard_map.names)
        },
        "slots": slot_ranges(shard_map),
        "pins": dict(sorted(shard_map.pins.items())),
    }


def slot_ranges(shard_map: ShardMap) -> dict[str, list[str]]:
    """``{"s1": ["0-255", "300-300"], ...}``: the slots of each shard."""
    ranges: dict[str, list[str]] = {name: [] for name in shard_map.names}
    first = 0
    for slot in range(SLOTS):
        if slot + 1 == SLOTS or shard_map.slots[slot + 1] != shard_map.slots[first]:
            ranges[shard_map.slots[first]].append(f"{first}-{slot}")
            first = slot + 1
    return ranges


def _parse(document: Any) -> ShardMap:
    if document["format"] != FORMAT:
        raise ShardMapError("the map of shards has an unknown format", detail=f"format {document['format']}.")
    slots: dict[int, str] = {}
    for name, ranges in document["slots"].items():
        for given in ranges:
            first, last = map(int, given.split("-"))
            for slot in range(first, last + 1):
                if slot in slots or not 0 <= slot < SLOTS:
                    raise ShardMapError("a slot is given twice or is none", detail=f"slot {slot}.")
                slots[slot] = name
    missing = [slot for slot in range(SLOTS) if slot not in slots]
    if missing:
        raise ShardMapError("a slot has no shard", detail=f"slot {missing[0]}; {len(missing)} in all.")
    return ShardMap(
        shards={
            name: Shard(name, int(shard["number"]), str(shard["dsn"]), str(shard.get("schema", "meter")))
            for name, shard in document["shards"].items()
        },
        slots=tuple(slots[slot] for slot in range(SLOTS)),
        pins={str(subject): str(name) for subject, name in document.get("pins", {}).items()},
        ids_above=int(document.get("ids_above", 0)),
        oldest=document.get("oldest"),
    )


def _check(shard_map: ShardMap) -> None:
    for shard in shard_map.shards.values():
        if not _NAME.fullmatch(shard.name):
            raise ShardMapError(
                "invalid name of a shard",
                detail=f"{shard.name!r}.",
                hint="Use letters, digits, points, - and _, 63 at most.",
            )
        if not 0 <= shard.number < NUMBERS:
            raise ShardMapError("a number is not that of a shard", detail=f"{shard.name}: {shard.number}.")
        _check_dsn(shard)
    numbers = [shard.number for shard in shard_map.shards.values()]
    if len(numbers) != len(set(numbers)):
        raise ShardMapError("two shards have one number", detail=f"numbers {sorted(numbers)}.")
    named = {*shard_map.slots, *shard_map.pins.values(), *([shard_map.oldest] if shard_map.oldest else [])}
    if unknown := sorted(named - set(shard_map.shards)):
        raise ShardMapError("the map names a shard that it does not have", detail=f"{unknown[0]}.")
    if len(shard_map.slots) != SLOTS:
        raise ShardMapError("the map has not 1,024 slots", detail=f"{len(shard_map.slots)}.")


def _check_dsn(shard: Shard) -> None:
    """Refuse a password in the file, where it would be copied to every host and into every backup."""
    try:
        parts = conninfo_to_dict(shard.dsn)
    except ProgrammingError:
        if _VARIABLE.search(shard.dsn):
            return  # a whole DSN is in a variable
        raise ShardMapError("a DSN of the map cannot be read", detail=f"shard {shard.name}.") from None
    for name in ("password", "sslpassword"):
        if (given := parts.get(name)) and not _VARIABLE.fullmatch(str(given)):
            raise ShardMapError(
                "the map has a password in it",
                detail=f"shard {shard.name}.",
                hint="Write ${VARIABLE} in its place, or use a service or a passfile of libpq.",
            )


def check_pin(shard_map: ShardMap, subject: str, name: str) -> None:
    """Refuse a pin to a shard that the map does not have."""
    if name not in shard_map.shards:
        raise InvalidInput(
            "the map has no such shard",
            parameter="shard",
            detail=f"{name!r} for {subject!r}.",
            hint=f"It has: {', '.join(shard_map.names)}.",
        )


def move_command(subjects: Sequence[str], target: str, path: str | os.PathLike[str] | None = None) -> str:
    """The command that moves subjects together, or finishes their move; `path`: the file of the map."""
    usual = path is None or os.fspath(path) == "shards.json"
    more = [] if usual else ["--map", os.fspath(path or "")]
    marked = ["--"] if any(subject.startswith("-") for subject in subjects) else []
    return shlex.join(["pymeter", "shard", "move", *more, *marked, *subjects, target])

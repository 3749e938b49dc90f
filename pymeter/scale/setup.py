"""Making a map of shards, and changing it. What was interrupted is completed by a repetition."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg

from pymeter import program_connection
from pymeter.client import Meter
from pymeter.migrate import migrate
from pymeter.models import ShardState
from pymeter.program_connection import ProgramPool
from pymeter.scale.errors import ShardMapError, of_shard, unavailable
from pymeter.scale.private_calls import pin_problems
from pymeter.scale.shard_map import Shard, ShardMap, check_pin, even_slots, read_map, slots_digest, write_map
from pymeter.scale.slots import SLOTS, slot_of
from pymeter.secrets import remember_dsn

# The meter in use draws ids while the shards are numbered: the ids of shards begin this far above.
_ROUND: Final = 1_000_000

StrPath = str | os.PathLike[str]


def init(path: StrPath, dsns: Mapping[str, str], schema: str = "meter") -> ShardMap:
    """Install each meter, give it its number, and write the map.

    One of them may be a meter in use: it keeps all slots, because its subjects are there already.
    """
    if Path(path).exists():
        raise ShardMapError(
            "there is a map of shards already", detail=f"{path}.", hint="Add to it with: pymeter shard add"
        )
    shards = {name: Shard(name, number, dsn, schema) for number, (name, dsn) in enumerate(dsns.items(), 1)}
    # Checks the names and DSNs before anything is installed.
    ShardMap(shards, even_slots(list(shards)))
    states = {name: _installed(shard) for name, shard in shards.items()}
    oldest = _oldest(states)
    above = _ids_above(states, oldest)
    slots = even_slots(list(shards)) if oldest is None else (oldest,) * SLOTS
    made = ShardMap(shards, slots, ids_above=above, oldest=oldest)
    join(made)
    write_map(path, made)
    return made


def join(shard_map: ShardMap) -> None:
    """Tell each meter which shard of the map it is, for ever. For a map made in code: `init` and `add` do it.

    The meters are installed, and new, or shards of the same map already.
    """
    # The oldest first: its ids are what the others have to stay above.
    for name in sorted(shard_map.names, key=lambda name: name != shard_map.oldest):
        _number(shard_map, name)


def add(path: StrPath, name: str, dsn: str, schema: str = "meter") -> ShardMap:
    """Install another meter, give it the next number, and write it into the map, without slots.

    So no subject changes its shard. The new one gets subjects by pins and by moves.
    """
    before = read_map(path)
    if name in before.shards:
        raise ShardMapError(
            "the map has a shard of this name", detail=f"{name}.", hint="Use another name: pymeter shard map"
        )
    number = max(shard.number for shard in before.shards.values()) + 1
    shard = Shard(name, number, dsn, schema)
    made = replace(before, shards={**before.shards, name: shard})
    state = _installed(shard)
    if state.earlier_id is not None or (state.number is None and state.highest_id is not None):
        raise ShardMapError(
            "only an unused meter can be added",
            detail=f"{name}: its highest id is {state.highest_id}, which other shards may have drawn too.",
            hint="Use a new database or another schema; import what the meter has.",
        )
    _number(made, name)
    _rewrite(path, before, made)
    return made


def pin(path: StrPath, subject: str, name: str) -> ShardMap:
    """Let a subject that is new lie on a shard of choice, such as that of its customer's other subjects."""
    before = read_map(path)
    check_pin(before, subject, name)
    home = before.shard_of(subject)
    if home != name:
        _check_unused(before.shards[home], subject)
    made = replace(before, pins={**before.pins, subject: name})
    _rewrite(path, before, made)
    return made


def _check_unused(shard: Shard, subject: str) -> None:
    """The shard decides: nothing of the subject may stay behind on it."""
    with _meter(shard) as connected:
        try:
            problems = connected.meter._run(pin_problems(subject))
        except psycopg.errors.InsufficientPrivilege as error:
            raise ShardMapError(
                "only the owner of the meters can pin a subject",
                detail=f"{shard.name}: {error.diag.message_primary}.",
                hint="Use a map with the owner's DSNs, as for pymeter shard move.",
            ) from error
    for problem in problems:
        raise ShardMapError(problem.problem, detail=f"{subject!r} on {shard.name}.", hint=problem.hint)


def pin_moved(path: StrPath, subject: str, name: str) -> ShardMap:
    """Say where a subject lies that was moved. Moves may end at one moment: each keeps what others wrote."""
    for _ in range(100):
        before = read_map(path)
        made = replace(before, pins={**before.pins, subject: name})
        if made.slots[slot_of(subject)] == name:
            made = replace(before, pins={s: n for s, n in before.pins.items() if s != subject})
        with _only_writer(path):
            if read_map(path) == before:
                write_map(path, made)
                return made
    raise ShardMapError("the map was changed meanwhile", detail=f"{path}.", hint="Run the command again.")


@contextmanager
def _only_writer(path: StrPath) -> Iterator[None]:
    """One program at a time changes the map; the lock ends with the program."""
    with Path(f"{path}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _rewrite(path: StrPath, before: ShardMap, made: ShardMap) -> None:
    """Write the map, unless another process has changed it meanwhile."""
    with _only_writer(path):
        if read_map(path) != before:
            raise ShardMapError(
                "the map was changed meanwhile", detail=f"{path}.", hint="Nothing was written: try again."
            )
        write_map(path, made)


def _oldest(states: Mapping[str, ShardState]) -> str | None:
    used = [
        name
        for name, state in states.items()
        if state.earlier_id is not None or (state.number is None and state.highest_id is not None)
    ]
    if len(used) > 1:
        raise ShardMapError(
            "several of the meters have ids already",
            detail=f"{', '.join(used)}.",
            hint="Only one may have been used: export the others, and import them into new ones.",
        )
    return used[0] if used else None


def _ids_above(states: Mapping[str, ShardState], oldest: str | None) -> int:
    """What an interrupted run has set; else a round number above the ids of the oldest meter."""
    given = {state.ids_above for state in states.values() if state.ids_above is not None}
    if len(given) > 1:
        raise ShardMapError("the meters are shards of different maps", detail=f"ids above {sorted(given)}.")
    if given:
        return given.pop()
    highest = (states[oldest].highest_id or 0) if oldest is not None else 0
    return 0 if oldest is None else (highest // _ROUND + 2) * _ROUND


def _installed(shard: Shard) -> ShardState:
    dsn = shard.connection_string()
    remember_dsn(dsn)
    migrate(dsn, shard.schema)
    with _meter(shard) as connected:
        return connected.meter.shard_state()


def _number(shard_map: ShardMap, name: str) -> None:
    shard = shard_map.shards[name]
    with _meter(shard) as connected:
        connected.meter.set_shard(shard.number, ids_above=shard_map.ids_above, slots=slots_digest(shard_map))


class _meter:
    """A connection of this program to one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def __enter__(self) -> _meter:
        try:
            self._connection = program_connection.connect(self._shard.connection_string())
        except psycopg.Error as error:
            raise of_shard(error, self._shard.name) if unavailable(error) else error from None
        self.meter = Meter(ProgramPool(self._connection, mode="READ WRITE"), schema=self._shard.schema)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

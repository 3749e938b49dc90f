"""Two maps of the same shards: usage of a subject would lie on two of them, and a key would count twice.

So each shard keeps its number and a digest of the map's slots. A client compares them before its first call.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import sql

from pymeter.calls import Call
from pymeter.models import ShardState
from pymeter.scale.errors import ShardMapError
from pymeter.scale.shard_map import ShardMap, slots_digest

# They write and read what is compared.
_WITHOUT: Final = ("set_shard", "shard_state")


class MapCheck:
    """What is known of one shard: nothing, or that it is the one of the map."""

    def __init__(self, shard_map: ShardMap, name: str) -> None:
        self._shard_map, self._name = shard_map, name
        self._done = False

    def is_due(self, call: Call[Any]) -> bool:
        """Whether the shard has to be asked before this call."""
        return not self._done and call.function not in _WITHOUT

    def may_ask(self) -> sql.Composed:
        """A query whether the role may ask: false if it has not the level read, null without a meter."""
        schema = self._shard_map.shards[self._name].schema
        return sql.SQL("SELECT has_function_privilege(to_regprocedure({}), 'execute')").format(
            sql.Literal(sql.Identifier(schema, "shard_state").as_string(None) + "()")
        )

    def give_up(self) -> None:
        """The role may not ask: it is not checked."""
        self._done = True

    def compare(self, state: ShardState) -> None:
        """Raise ShardMapError unless it is the shard of the map."""
        check_state(self._shard_map, self._name, state)
        self._done = True


def check_state(shard_map: ShardMap, name: str, state: ShardState) -> None:
    """Raise ShardMapError unless the state is that of a shard of the map."""
    if problem := map_problem(shard_map, name, state):
        raise ShardMapError(
            "the map is not that of the shard",
            detail=f"{name}: {problem}.",
            hint="Nothing was done. Use the file that pymeter shard init and add have written, everywhere; a"
            " map that is made in code is told to its shards by pymeter.scale.join().",
        )


def map_problem(shard_map: ShardMap, name: str, state: ShardState) -> str | None:
    """In what a shard differs from the map; None: in nothing."""
    shard = shard_map.shards[name]
    if state.number is None:
        return "the meter is no shard"
    if (state.number, state.ids_above) != (shard.number, shard_map.ids_above):
        return (
            f"the meter is shard {state.number} with ids above {state.ids_above}, the map says"
            f" {shard.number} and {shard_map.ids_above}"
        )
    if state.slots is None:
        return "the meter was not told the slots of a map"
    if state.slots != slots_digest(shard_map):
        return "the meter belongs to a map with other slots"
    return None

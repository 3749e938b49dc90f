"""A subject that has moved: where a call that was refused (UM008) goes next, without the I/O."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Final

from pymeter.calls import Call
from pymeter.errors import SubjectMoved
from pymeter.scale.errors import ShardMapError
from pymeter.scale.routing import RULES
from pymeter.scale.rules import OfSubjects, SplitBySubject
from pymeter.scale.shard_map import ShardMap, read_map

PATIENCE: Final = 5.0
_PAUSES: Final = (0, 0.02, 0.05, 0.1, 0.2)


class Chances:
    """When a call is tried again: a subject that is being moved is closed for a short time."""

    def __init__(self, patience: float) -> None:
        self._deadline = time.monotonic() + patience
        self._number = 0

    def pause(self) -> float | None:
        """How many seconds to wait before the next attempt; None: no more."""
        if time.monotonic() >= self._deadline:
            return None
        self._number += 1
        return _PAUSES[min(self._number, len(_PAUSES)) - 1]


def is_split(call: Call[Any]) -> bool:
    """Whether a call names several subjects, so that only a newer map tells where each part goes."""
    return isinstance(RULES[call.function], SplitBySubject | OfSubjects)


def next_shard(error: SubjectMoved, shard_map: ShardMap) -> str | None:
    """The shard that the error names, if the map has it."""
    return error.shard if error.shard in shard_map.shards else None


def newer_map(path: str | os.PathLike[str] | None, shard_map: ShardMap) -> ShardMap:
    """The map as the file has it now; the same one if there is no file, or it has other shards or slots."""
    if path is not None:
        with suppress(ShardMapError):
            found = read_map(path)
            if (found.shards, found.slots) == (shard_map.shards, shard_map.slots):
                return found
    return shard_map

"""Moves that have begun and not ended: one that runs now, or whose program is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import psycopg

from pymeter.models import Move
from pymeter.models.values import Model, Moment
from pymeter.scale.client import ShardedMeter
from pymeter.scale.private_calls import has_come
from pymeter.scale.shard_map import move_command

UnfinishedState = Literal["closed", "copying", "arrived", "unmapped", "unknown"]


class UnfinishedMove(Model):
    """A subject on its way from one shard to another."""

    subject: str
    source: str
    target: str
    state: UnfinishedState
    """closed: no shard accepts the subject; copying: the source accepts it; arrived: the target does, and the
    source has not noted it; unmapped: the target does, and the map names the source; unknown: a shard that
    does not answer knows, or answers its owner only."""
    since: Moment
    command: str
    """What finishes it."""


def unfinished_moves(meter: ShardedMeter, moves: Mapping[str, list[Move]]) -> list[UnfinishedMove]:
    """What the shards say of subjects that are not at home; `moves`: of each shard that answers."""
    rows = {(move.subject, shard): move for shard, found in moves.items() for move in found}
    found: list[tuple[Move, str, str, UnfinishedState]] = []
    for (subject, shard), move in sorted(rows.items()):
        source, target = (move.other, shard) if move.state == "arriving" else (shard, move.other)
        leaving = rows.get((subject, source))
        if move.state == "arriving":
            if leaving is None or leaving.state != "closing":  # that row tells more
                found.append((move, source, target, "copying" if source in moves else "unknown"))
        elif move.state == "closing":
            found.append((move, source, target, _of_closed(meter, subject, target, rows, moves)))
        elif meter.shard_map.shard_of(subject) == shard:
            found.append((move, source, target, "unmapped"))
    return [
        UnfinishedMove(
            subject=move.subject,
            source=source,
            target=target,
            state=state,
            since=move.changed_at,
            command=move_command(_together(move, found), target, meter.path),
        )
        for move, source, target, state in found
    ]


def _together(move: Move, found: list[tuple[Move, str, str, UnfinishedState]]) -> list[str]:
    """The subjects of one run: those of one customer can only be moved together."""
    mates = [other.subject for other, *_ in found if other.run is not None and other.run == move.run]
    return mates or [move.subject]


def _of_closed(
    meter: ShardedMeter,
    subject: str,
    target: str,
    rows: Mapping[tuple[str, str], Move],
    moves: Mapping[str, list[Move]],
) -> UnfinishedState:
    """What the source has closed: the target has admitted it, or nobody accepts it."""
    if target not in moves:
        return "unknown"
    if (subject, target) in rows:
        return "closed"
    try:
        return "arrived" if meter.meters[target]._run(has_come(subject)) else "closed"
    except psycopg.errors.InsufficientPrivilege:
        return "unknown"

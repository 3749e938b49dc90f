"""Moves that have begun and not ended: one that runs now, or whose program is gone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Literal

import psycopg

from pymeter.models import Move
from pymeter.models.values import Model, Moment
from pymeter.scale.client import ShardedMeter
from pymeter.scale.private_calls import has_come

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


def move_command(subject: str, target: str, path: str | os.PathLike[str] | None = None) -> str:
    """The command that moves a subject, or finishes its move; `path`: the file of the map."""
    usual = path is None or os.fspath(path) == "shards.json"
    more = [] if usual else ["--map", os.fspath(path or "")]
    words = ["pymeter", "shard", "move", *more, *(["--"] if subject.startswith("-") else []), subject, target]
    return shlex.join(words)


def unfinished_moves(meter: ShardedMeter, moves: Mapping[str, list[Move]]) -> list[UnfinishedMove]:
    """What the shards say of subjects that are not at home; `moves`: of each shard that answers."""
    rows = {(move.subject, shard): move for shard, found in moves.items() for move in found}
    unfinished = []
    for (subject, shard), move in sorted(rows.items()):
        source, target = (move.other, shard) if move.state == "arriving" else (shard, move.other)
        leaving = rows.get((subject, source))
        if move.state == "arriving":
            if leaving is not None and leaving.state == "closing":
                continue  # the row of the source tells more
            state: UnfinishedState = "copying" if source in moves else "unknown"
        elif move.state == "closing":
            state = _of_closed(meter, subject, target, rows, moves)
        elif meter.shard_map.shard_of(subject) == shard:
            state = "unmapped"
        else:
            continue
        unfinished.append(
            UnfinishedMove(
                subject=subject,
                source=source,
                target=target,
                state=state,
                since=move.changed_at,
                command=move_command(subject, target, meter.path),
            )
        )
    return unfinished


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

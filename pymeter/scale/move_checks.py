"""Whether a subject can be moved exactly: asked before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pymeter import Meter
from pymeter.models import ShardState
from pymeter.scale.errors import MoveRefused
from pymeter.scale.homes import Home
from pymeter.scale.map_check import map_problem
from pymeter.scale.shard_map import ShardMap, move_command
from pymeter.scale.status import compare


def check(
    shard_map: ShardMap,
    source: Home,
    target: Home,
    subjects: Sequence[str],
    *,
    tell: Callable[[str, dict[str, Any]], None],
) -> dict[str, dict[str, Any]]:
    """Raise MoveRefused, with all reasons. Returns what the target has to know of each subject."""
    tell("check", {})
    for home in (source, target):
        with home.transaction():
            state = ShardState(**home.rows("shard_state")[0])
        if problem := map_problem(shard_map, home.name, state):
            raise MoveRefused(
                "a shard is not the one of the map",
                detail=f"{home.name}: {problem}.",
                hint="Use the map that the shards were made with: pymeter shard status",
            )
    installed = []
    for home in (source, target):
        with home.transaction():
            installed.append(home.value("_installed_sql"))
    if installed[0] != installed[1]:
        raise MoveRefused(
            "the two shards have different versions installed",
            detail=f"{source.name}, {target.name}.",
            hint="Upgrade both first: pymeter migrate",
        )
    _check_definitions(shard_map, source, target)
    return {s: check_subject(source, target, s, subjects, of_log=True) for s in subjects}


def check_subject(
    source: Home, target: Home, subject: str, subjects: Sequence[str], *, of_log: bool
) -> dict[str, Any]:
    """Raise MoveRefused if something of the subject cannot be moved. Returns what the target has to know.

    `subjects`: those that move together. `of_log`: look at all of its events, too.
    """
    together = list(subjects)
    with source.transaction():
        problems = source.rows("_move_problems", subject, together)
        others = source.rows("_customers_subjects", subject, together)
        facts: dict[str, Any] = source.value("_move_facts", subject, of_log)
    if not problems:
        with target.transaction():
            problems = target.rows("_receive_problems", subject, facts)
    if problems:
        hint = problems[0]["hint"]
        if hint.endswith(":"):
            all_of_them = [*together, *dict.fromkeys(row["other"] for row in others)]
            hint += f" {move_command(all_of_them, target.name)}"
        raise MoveRefused(
            "the subject cannot be moved",
            detail=f"{subject!r}: " + "; ".join(row["problem"] for row in problems) + ".",
            hint=hint,
        )
    return facts


def _check_definitions(shard_map: ShardMap, source: Home, target: Home) -> None:
    meters = {}
    for home in (source, target):
        meters[home.name] = Meter(home.connection, schema=shard_map.shards[home.name].schema)
    with source.transaction(), target.transaction():
        differences = compare(meters)
    if differences:
        raise MoveRefused(
            "the definitions of the two shards are not alike",
            detail=", ".join(f"{row.kind} {row.key}" for row in differences[:10]) + ".",
            hint="pymeter shard status compares them. Repeat what defines them; then move.",
        )

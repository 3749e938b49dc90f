"""Moves for tests: a map in a file, and a mover that is killed when a step begins."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from pymeter import SubjectMoved
from pymeter.scale import ShardedMeter, read_map, write_map
from pymeter.scale.moving import Moved, move
from tests.scale.twins import join, new_map

_FORK = multiprocessing.get_context("fork")
_SECONDS_MAX = 60
S = "acct_1"


class Pair:
    """Two shards, and the file of their map."""

    def __init__(self, path: Path, dsns: dict[str, str]) -> None:
        self.path, self.dsns = path, dsns
        write_map(path, new_map(dsns))
        self.meter = ShardedMeter.open(path, max_size=2, patience=0.2)
        join(self.meter)
        self.meter.define_metric("sum", "sum", "unit")

    def home(self, subject: str = S) -> str:
        return read_map(self.path).shard_of(subject)

    def other(self, subject: str = S) -> str:
        return "s2" if self.home(subject) == "s1" else "s1"

    def total(self, subject: str = S) -> Any:
        found = self.meter.usage(subject, "sum", period="year")
        return found.quantity, found.event_count


def steps_of(path: Path, subject: str, target: str, **more: Any) -> tuple[Moved, list[str]]:
    """What a move did, and the steps that it said."""
    steps: list[str] = []
    moved = move(path, subject, target, tell=lambda step, _facts: steps.append(step), **more)
    return moved, steps


def killed(path: Path, subject: str | list[str], target: str, at_step: str) -> None:
    """A mover that is gone, by kill -9, as this step begins."""

    def tell(step: str, _facts: dict[str, Any]) -> None:
        if step == at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    process = _FORK.Process(target=move, args=(path, subject, target), kwargs={"tell": tell})
    process.start()
    process.join(_SECONDS_MAX)
    assert process.exitcode == -signal.SIGKILL, (at_step, process.exitcode)


def meanwhile(at_step: str, action: Callable[[], object]) -> Callable[[str, dict[str, Any]], None]:
    """Something that happens once, as a step begins."""
    done: list[object] = []

    def tell(step: str, _facts: dict[str, Any]) -> None:
        if step == at_step and not done:
            done.append(True)
            action()

    return tell


def cut_connections(dsn: str) -> None:
    """End the connections of movers to a server."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE application_name = 'pymeter shard move' AND datname = current_database()
            """
        )


def homes(meter: ShardedMeter, subject: str, number: int) -> list[str]:
    """The shards that record for a subject now."""
    found = []
    for name, one in meter.meters.items():
        try:
            one.record(subject, "sum", 0, idempotency_key=f"home_{number}_{name}")
        except SubjectMoved:
            continue
        found.append(name)
    return found

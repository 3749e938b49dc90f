"""Shards among which subjects are moved give the answers of one meter over the same random history."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import psycopg_pool
import pytest

from pymeter import Meter
from pymeter.scale import ShardedMeter, read_map, write_map
from pymeter.scale.moving import move
from tests.helpers import at_length
from tests.scale import test_answers as answers
from tests.scale.conftest import NewDatabase
from tests.scale.test_answers import NOW, SUBJECTS, History
from tests.scale.twins import Twins, join, new_map


@pytest.fixture
def moving(tmp_path: Path, new_database: NewDatabase) -> Iterator[tuple[Twins, Path]]:
    """One meter, and three shards whose map is a file."""
    path = tmp_path / "shards.json"
    write_map(path, new_map({name: new_database() for name in ("s1", "s2", "s3")}))
    with (
        psycopg_pool.ConnectionPool(new_database(), min_size=1, max_size=1) as pool,
        ShardedMeter.open(path, max_size=1) as meter,
    ):
        join(meter)
        yield Twins(Meter(pool), meter), path


@pytest.mark.parametrize("seed", range(at_length(1, 10)))
@pytest.mark.at_length
def test_moves_change_no_answer(moving: tuple[Twins, Path], seed: int) -> None:
    twins, path = moving
    chance = random.Random(seed)
    answers._define(twins)
    history = History(twins, chance)
    answers._end_what_was_begun(twins)
    for _ in range(at_length(2, 6)):
        for _ in range(at_length(50, 200)):
            history.step()
        _move_some(path, chance)
        _ask(twins, chance)
    answers._close(twins)
    _move_some(path, chance)
    _ask(twins, chance)
    answers._report(twins)
    for name in ("judge_projections", "judge_budgets"):
        getattr(twins, name)(now=NOW)
    _move_some(path, chance)
    twins.rows("preview_pushes", now=NOW)
    twins.plan_pushes(now=NOW)
    answers._give_keys(twins)
    _ask(twins, chance)


def _move_some(path: Path, chance: random.Random) -> None:
    for subject in chance.sample(SUBJECTS, at_length(3, 6)):
        shard_map = read_map(path)
        others = [name for name in shard_map.names if name != shard_map.shard_of(subject)]
        moved = move(path, subject, chance.choice(others))
        assert moved.source != moved.target


def _ask(twins: Twins, chance: random.Random) -> None:
    answers._ask_about_all(twins)
    for subject in chance.sample(SUBJECTS, at_length(3, 8)):
        answers._ask_about(twins, subject)

"""Four shards: databases of one server, which is enough for everything but a server that dies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg_pool
import pytest

from pymeter import Meter, pytest_plugin
from pymeter.scale import ShardedMeter
from tests.databases import Databases
from tests.helpers import ledger, new_ledger

pytest.register_assert_rewrite("tests.scale.twins", "tests.scale.moves")
from tests.scale.moves import Pair  # noqa: E402
from tests.scale.twins import SHARDS, Twins, join, new_map  # noqa: E402

__all__ = ["ledger", "new_ledger"]

NewDatabase = Callable[[], str]
_numbers = itertools.count()


@pytest.fixture
def new_database(databases: Databases, pymeter_template: str) -> Iterator[NewDatabase]:
    """The DSNs of new, migrated databases."""
    names: list[str] = []

    def new() -> str:
        names.append(pytest_plugin._database_name(f"shard{next(_numbers)}"))
        return databases.create(names[-1], pymeter_template)

    yield new
    for name in names:
        databases.drop(name)


@pytest.fixture
def sharded(new_database: NewDatabase) -> Iterator[ShardedMeter]:
    """Four shards."""
    # One connection each: what a session does for the first time takes long.
    with ShardedMeter.open(new_map({name: new_database() for name in SHARDS}), max_size=1) as meter:
        join(meter)
        yield meter


@pytest.fixture
def twins(sharded: ShardedMeter, new_database: NewDatabase) -> Iterator[Twins]:
    """One meter and four shards."""
    with psycopg_pool.ConnectionPool(new_database(), min_size=1, max_size=1) as pool:
        yield Twins(Meter(pool), sharded)


@pytest.fixture
def pair(tmp_path: Path, new_database: NewDatabase) -> Iterator[Pair]:
    """Two shards whose map is a file, shards.json."""
    made = Pair(tmp_path / "shards.json", {name: new_database() for name in ("s1", "s2")})
    with made.meter:
        yield made

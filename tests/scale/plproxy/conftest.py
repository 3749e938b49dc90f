"""A server with PL/Proxy: four shards, a meter of its own, and fronts, each in a database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest

from pymeter import Meter, migrate
from pymeter.calls import Call
from pymeter.scale import ShardedMeter, ShardMap
from pymeter.scale.steps import given
from pymeter.scale.stubs import left_out, stubs
from tests.faults.servers import (
    Server,
    create_database,
    execute,
    installed_servers,
    new_server,
    with_database,
)
from tests.scale.twins import SHARDS, join, new_map

# Debian's PostgreSQL compiles queries to machine code, which takes seconds for those that are asked once.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "200",
}
_numbers = itertools.count()


def programs() -> Path | None:
    """Programs of a PostgreSQL that has PL/Proxy."""
    found = (path for path in installed_servers().values() if (path.parent / "lib/plproxy.so").exists())
    return next(found, None)


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """A server whose database `template` has a meter."""
    if (found := programs()) is None:
        pytest.skip("no PostgreSQL with PL/Proxy is installed (apt-get install postgresql-15-plproxy)")
    with new_server(found, SETTINGS) as server:
        execute(server.dsn, create_database("template"))
        migrate(with_database(server.dsn, "template"))
        yield server


NewDatabase = Callable[..., str]


@pytest.fixture(scope="package")
def new_database(server: Server) -> NewDatabase:
    """The DSN of a new database; with a meter unless told otherwise."""

    def new(template: str | None = "template") -> str:
        name = f"plproxy{next(_numbers)}"
        execute(server.dsn, create_database(name, template))
        return with_database(server.dsn, name)

    return new


@pytest.fixture(scope="package")
def shard_map(new_database: NewDatabase) -> ShardMap:
    """Four shards that are joined, with one pinned subject that its slot would put elsewhere."""
    shard_map = new_map({name: new_database() for name in SHARDS})
    pinned = "pinned ' \\ subject"
    other = next(name for name in SHARDS if name != shard_map.shard_of(pinned))
    with ShardedMeter.open(shard_map, max_size=1) as meter:
        join(meter)
    return new_map({n: s.dsn for n, s in shard_map.shards.items()}, pins={pinned: other})


def build_front(dsn: str, shard_map: ShardMap, roles: Mapping[str, str | None] | None = None) -> str:
    """Run the generated SQL on a database, and return its DSN."""
    with psycopg.connect(shard_map.shards[SHARDS[0]].dsn) as connection:
        script = stubs(connection, shard_map, {"postgres": None, **(roles or {})})
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())
    return dsn


@pytest.fixture(scope="package")
def front_dsn(new_database: NewDatabase, shard_map: ShardMap) -> str:
    return build_front(new_database(None), shard_map)


@pytest.fixture
def front(front_dsn: str) -> Iterator[Meter]:
    """A meter that is a front of the shards."""
    with psycopg.connect(front_dsn, autocommit=True) as connection:
        yield Meter(connection)


@pytest.fixture
def sharded(shard_map: ShardMap) -> Iterator[ShardedMeter]:
    """The client that routes, on the same shards."""
    with ShardedMeter.open(shard_map, max_size=1) as meter:
        yield meter


class Fronted(ShardedMeter):
    """Goes by the front, except with functions that have no stub."""

    front: Meter
    stubs: set[str]
    """The functions that the front was called with."""

    def _run(self, call: Call[Any]) -> Any:
        if call.function in left_out() or (
            call.function == "focus_charges" and given(call, "subject") is None
        ):
            return super()._run(call)
        self.stubs.add(call.function)
        return self.front._run(call)

    def stage_correction(self, id: int, entries: Any) -> int:
        self.stubs.add("stage_correction")
        return self.front.stage_correction(id, entries)


@pytest.fixture
def fronted(shard_map: ShardMap, front_dsn: str) -> Iterator[Fronted]:
    with (
        Fronted.open(shard_map, max_size=1) as meter,
        psycopg_pool.ConnectionPool(front_dsn, min_size=1, max_size=1) as pool,
    ):
        meter.front, meter.stubs = Meter(pool), set()
        yield meter

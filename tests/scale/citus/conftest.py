"""A cluster with Citus, named by PYMETER_CITUS_DSN: a superuser's, of any database of its coordinator.

The tests make a database of their own on every node, and drop it. A node is killed by a program that it
starts itself, and started again with the settings of its files.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pymeter import migrate
from pymeter.scale import ShardedMeter, ShardMap
from tests.scale.twins import join, new_map

_SECONDS_MAX = 60
_NODES = (
    "SELECT nodename, nodeport FROM pg_dist_node WHERE isactive AND noderole = 'primary' ORDER BY groupid"
)
_STARTED = "SELECT pg_postmaster_start_time()"
_numbers = itertools.count()


@dataclass(frozen=True)
class Node:
    """A server of the cluster, with a database."""

    dsn: str

    def run(self, *statements: str) -> None:
        """Run them one by one; what the server says besides is of no interest."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, query: str) -> object:
        """The value of a query."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row[0]

    def kill(self) -> None:
        """kill -9 of its postmaster; it is started again when all its processes are gone."""
        directory = self.value("SHOW data_directory")
        program = self.value("SELECT setting || '/pg_ctl' FROM pg_config WHERE name = 'BINDIR'")
        kill = f"kill -9 $(head -1 {directory}/postmaster.pid)"
        start = f"until {program} -D {directory} -l {directory}.log -w start; do sleep 0.2; done"
        again = f"setsid sh -c 'sleep 0.2; {kill}; sleep 0.2; {start}' </dev/null >/dev/null 2>&1 &"
        began = self.value(_STARTED)
        self.run(f"COPY (SELECT 1) TO PROGRAM $$cat >/dev/null; {again}$$")
        with suppress(psycopg.OperationalError):
            while self.value(_STARTED) == began:
                time.sleep(0.05)

    def bring_back(self) -> None:
        """Wait until it accepts connections."""
        deadline = time.monotonic() + _SECONDS_MAX
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the server does not come back"
                time.sleep(0.1)
            else:
                return


@dataclass(frozen=True)
class Cluster:
    """The nodes, each with the same new database."""

    coordinator: Node
    workers: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.coordinator, *self.workers


@pytest.fixture(scope="session")
def addresses() -> list[tuple[str, int]]:
    """Of the coordinator, then of the workers."""
    if not (dsn := os.environ.get("PYMETER_CITUS_DSN")):
        pytest.skip("PYMETER_CITUS_DSN names no cluster with Citus")
    with psycopg.connect(dsn) as connection:
        found = connection.execute(_NODES.encode()).fetchall()
    assert len(found) > 2, "the tests need a coordinator, which is a node too, and two workers"
    return found


@pytest.fixture
def new_cluster(addresses: list[tuple[str, int]]) -> Iterator[Callable[[], Cluster]]:
    """Makes the same empty database on every node."""
    given = conninfo_to_dict(os.environ["PYMETER_CITUS_DSN"])
    made: list[str] = []

    def on(address: tuple[str, int], database: str | None) -> Node:
        host, port = address
        dbname = {} if database is None else {"dbname": database}
        return Node(make_conninfo(**given | {"host": host, "port": port} | dbname))

    def new() -> Cluster:
        name = f"pymeter_{os.getpid()}_{next(_numbers)}"
        made.append(name)
        for address in addresses:
            on(address, None).run(f"CREATE DATABASE {name}")
            on(address, name).run("CREATE EXTENSION citus")
        coordinator, *workers = (on(address, name) for address in addresses)
        host, port = addresses[0]
        coordinator.run(
            f"SELECT citus_set_coordinator_host('{host}', {port})",
            *(f"SELECT citus_add_node('{host}', {port})" for host, port in addresses[1:]),
        )
        return Cluster(coordinator, tuple(workers))

    yield new
    for name, address in itertools.product(made, addresses):
        on(address, None).bring_back()
        on(address, None).run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def shard_map(cluster: Cluster) -> ShardMap:
    """A shard on each node: s1 on the coordinator, then one on each worker."""
    for node in cluster.nodes:
        migrate(node.dsn)
    made = new_map({f"s{number}": node.dsn for number, node in enumerate(cluster.nodes, start=1)})
    with ShardedMeter.open(made, max_size=1) as meter:
        join(meter)
    return made


@pytest.fixture
def cluster(new_cluster: Callable[[], Cluster]) -> Cluster:
    return new_cluster()

"""The workers of a Citus cluster as shards: an ordinary schema on each, which Citus leaves alone."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pymeter import program_connection
from pymeter.scale.errors import ShardMapError
from pymeter.scale.setup import StrPath, add
from pymeter.scale.shard_map import Shard, ShardMap, read_map

_WORKERS: Final = """
    SELECT nodeid, nodename, nodeport FROM pg_catalog.pg_dist_node
    WHERE isactive AND noderole = 'primary' AND shouldhaveshards ORDER BY nodeid
"""


def add_workers(path: StrPath, name: str, dsn: str, schema: str = "meter") -> ShardMap:
    """Add a shard on each worker of the cluster whose coordinator is at `dsn`: `name` and Citus's node id.

    Can be repeated, after an interruption or when the cluster has grown: workers that the map has stay as
    they are.
    """
    made = read_map(path)
    for node, worker in _workers(name, dsn).items():
        known = made.shards.get(node)
        if known is None or (known.dsn, known.schema) != (worker, schema):
            made = add(path, node, worker, schema)
    return made


def _workers(name: str, dsn: str) -> dict[str, str]:
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if key != "hostaddr"}
    except psycopg.Error:
        raise ShardMapError(
            "the address of the coordinator cannot be taken apart",
            hint="Write it out with its host and port. Only the password may be a ${VARIABLE}.",
        ) from None
    with program_connection.connect(Shard(name, 1, dsn).connection_string()) as connection:
        nodes = _nodes(connection)
    return {
        f"{name}{node}": make_conninfo("", **given | {"host": host, "port": str(port)})
        for node, host, port in nodes
    }


def _nodes(connection: Connection[Any]) -> list[tuple[int, str, int]]:
    try:
        nodes = connection.execute(_WORKERS).fetchall()
    except psycopg.errors.UndefinedTable:
        raise ShardMapError(
            "Citus is not installed in this database",
            hint="Name the database of a coordinator; a shard on any other server needs no --citus.",
        ) from None
    if not nodes:
        raise ShardMapError(
            "the cluster has no worker", hint="Add one to it with: SELECT citus_add_node('host', 5432)"
        )
    return nodes

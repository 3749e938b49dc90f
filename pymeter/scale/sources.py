"""What a shard is reached by: a pool that gives up soon, so that a dead shard does not hold up the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from psycopg.conninfo import make_conninfo

from pymeter.errors import InvalidInput
from pymeter.scale.shard_map import Shard, ShardMap
from pymeter.secrets import remember_dsn

E = TypeVar("E")


def open_pool(shard: Shard, max_size: int, timeout: float, *, asynchronous: bool) -> Any:
    """A pool of connections to a shard; the asynchronous one is still to be opened.

    It holds none to begin with: a server that is down is no reason not to start.
    """
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    dsn = shard.connection_string()
    remember_dsn(dsn)
    options: dict[str, Any] = {
        "min_size": 0,
        "max_size": max_size,
        "timeout": timeout,
        "reconnect_timeout": timeout,
        "name": f"pymeter-{shard.name}",
    }
    conninfo = make_conninfo(dsn, connect_timeout=str(max(2, round(timeout))))
    if asynchronous:
        return AsyncConnectionPool(conninfo, open=False, **options)
    return ConnectionPool(conninfo, open=True, **options)


def check_sources(shard_map: ShardMap, sources: Mapping[str, object]) -> None:
    """Refuse sources that are not those of the map's shards."""
    if set(sources) != set(shard_map.names):
        raise InvalidInput(
            "the sources are not those of the map's shards",
            parameter="sources",
            detail=f"map: {', '.join(shard_map.names)}; sources: {', '.join(sorted(sources))}.",
            hint="Give a pool for each shard of the map, by its name.",
        )


def checked_entries(shard_map: ShardMap, shard: str, entries: Iterable[E]) -> Iterator[E]:
    """The entries of a correction; refuses one whose subject lies on another shard than the correction."""
    for ordinal, entry in enumerate(entries, start=1):
        found = entry.get("subject") if isinstance(entry, Mapping) else getattr(entry, "subject", None)
        if isinstance(found, str) and shard_map.shard_of(found) != shard:
            raise InvalidInput(
                "the subject of an entry lies on another shard than the correction",
                parameter="entries",
                detail=f"Entry {ordinal}: {found!r} on {shard_map.shard_of(found)}, correction on {shard}.",
                hint="Open a correction on each shard: meter_of(subject).open_correction(...).",
            )
        yield entry

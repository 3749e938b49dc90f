"""Many meters as one, when one server is not enough: which subject lies where, and a client that knows it.

from pymeter.scale import ShardedMeter

with ShardedMeter.open("shards.json") as meter:
    meter.record("acct_1", "tokens", 120, idempotency_key="req_1")
"""

from __future__ import annotations

from pymeter.scale.async_client import AsyncShardedMeter, AsyncShardTransaction
from pymeter.scale.client import ShardedMeter, ShardTransaction
from pymeter.scale.errors import NotSharded, ShardMapError, ShardsFailed, ShardUnavailable
from pymeter.scale.setup import join
from pymeter.scale.shard_map import Shard, ShardMap, even_slots, read_map, write_map
from pymeter.scale.slots import slot_of

__all__ = [
    "AsyncShardTransaction",
    "AsyncShardedMeter",
    "NotSharded",
    "Shard",
    "ShardMap",
    "ShardMapError",
    "ShardTransaction",
    "ShardUnavailable",
    "ShardedMeter",
    "ShardsFailed",
    "even_slots",
    "join",
    "read_map",
    "slot_of",
    "write_map",
]

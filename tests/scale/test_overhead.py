"""Recording through ShardedMeter costs the client next to nothing more than through Meter."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import replace

import psycopg_pool

from pymeter import Meter
from pymeter.scale import ShardedMeter
from pymeter.scale.shard_map import slots_digest
from tests.scale.twins import new_map

_CALLS, _ROUNDS = 60, 25
_RATIO_MAX = 1.2  # 1.01 to 1.03 on a quiet machine


def test_routing_costs_a_record_next_to_nothing(meter_dsn: str) -> None:
    numbers = itertools.count()

    def seconds(meter: Meter | ShardedMeter) -> float:
        """The processor time of the client, which other programs disturb little."""
        began = time.process_time()
        for _ in range(_CALLS):
            number = next(numbers)
            meter.record(f"acct_{number % 50}", "tokens", 1, idempotency_key=f"k{number}")
        return time.process_time() - began

    with psycopg_pool.ConnectionPool(meter_dsn, min_size=1, max_size=1) as pool:
        plain = Meter(pool)
        # One of the shards has all slots: what is measured is the way there.
        shard_map = new_map({"s1": meter_dsn, "s2": meter_dsn})
        shard_map = replace(shard_map, slots=("s1",) * len(shard_map.slots))
        plain.set_shard(1, slots=slots_digest(shard_map))
        plain.define_metric("tokens", "sum", "token")
        routed = ShardedMeter(shard_map, {"s1": pool, "s2": pool})
        for meter in (plain, routed):
            seconds(meter)
        ratios = []
        for turn in range(_ROUNDS):
            pair = {m: seconds(m) for m in ((plain, routed) if turn % 2 else (routed, plain))}
            ratios.append(pair[routed] / pair[plain])
    assert statistics.median(ratios) < _RATIO_MAX, sorted(ratios)

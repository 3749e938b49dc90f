"""How fast calls are through a front, paired with the same calls of the client that routes.

    python -m tests.scale.plproxy.measure

One durable server with four shards and a front, on the machine's own cores: it measures the cost of the way,
not what more servers bring.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg_pool

from pymeter import Meter, migrate
from pymeter.scale import ShardedMeter
from tests.faults.servers import create_database, execute, new_server, with_database
from tests.scale.plproxy.conftest import build_front, programs
from tests.scale.twins import SHARDS, join, new_map

_ROUNDS = 9
_SECONDS = 1.0
_BATCH = 1000
_numbers = itertools.count()
Work = Callable[[Any], object]


def _record(meter: Any) -> object:
    number = next(_numbers)
    return meter.record(f"acct_{number % 1000}", "tokens", 1, idempotency_key=f"k{number}")


def _check(meter: Any) -> object:
    return meter.check_quota(f"acct_{next(_numbers) % 1000}", "tokens", quota=10**9)


def _batch(subjects: int) -> Work:
    def work(meter: Any) -> object:
        return meter.record_batch(
            [
                {
                    "subject": f"batch_{n % subjects}",
                    "metric": "tokens",
                    "quantity": 1,
                    "idempotency_key": f"b{next(_numbers)}",
                }
                for n in range(_BATCH)
            ]
        )

    return work


_CASES: list[tuple[str, Work, int, int]] = [
    ("record, 1 client", _record, 1, 1),
    ("record, 8 clients", _record, 8, 1),
    ("check_quota, 1 client", _check, 1, 1),
    ("batch of 1,000, one subject", _batch(1), 1, _BATCH),
    ("batch of 1,000, a hundred subjects", _batch(100), 1, _BATCH),
]


def _rate(meter: Any, work: Work, clients: int) -> float:
    """Calls a second, by so many threads at once."""

    def run(_: int) -> int:
        calls, end = 0, time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            work(meter)
            calls += 1
        return calls

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        calls = sum(threads.map(run, range(clients)))
    return calls / (time.perf_counter() - began)


def main() -> int:
    found = programs()
    if found is None:
        print("no PostgreSQL with PL/Proxy is installed", file=sys.stderr)
        return 1
    with new_server(found, {"jit": "off", "max_connections": "200"}) as server:

        def database(name: str) -> str:
            execute(server.dsn, create_database(name))
            return with_database(server.dsn, name)

        shard_map = new_map({name: database(name) for name in SHARDS})
        for shard in shard_map.shards.values():
            migrate(shard.dsn)
        with ShardedMeter.open(shard_map, max_size=8) as direct:
            join(direct)
            front = build_front(database("front"), shard_map)
            with psycopg_pool.ConnectionPool(front, min_size=8, max_size=8) as pool:
                proxied = Meter(pool)
                proxied.define_metric("tokens", "sum", "token")
                for name, work, clients, events in _CASES:
                    _compare(name, work, clients, events, direct, proxied)
    return 0


def _compare(name: str, work: Work, clients: int, events: int, direct: Any, proxied: Any) -> None:
    for meter in (direct, proxied):
        _rate(meter, work, clients)
    rates: dict[int, list[float]] = {id(direct): [], id(proxied): []}
    for turn in range(_ROUNDS):
        for meter in (direct, proxied) if turn % 2 else (proxied, direct):
            rates[id(meter)].append(_rate(meter, work, clients) * events)
    ratios = sorted(b / a for a, b in zip(rates[id(direct)], rates[id(proxied)], strict=True))
    medians = [statistics.median(rates[id(meter)]) for meter in (direct, proxied)]
    rate = f"direct {medians[0]:8.0f}/s  front {medians[1]:8.0f}/s"
    ratio = f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"{name:36} {rate}  {ratio}  load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

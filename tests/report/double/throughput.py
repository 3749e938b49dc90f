"""``python -m tests.report.double.throughput``: what the double can take from 16 connections.

The figure that holds on a busy machine is requests for each second of the double's own CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from urllib.parse import urlsplit

from . import running
from .client import Double

_CONNECTIONS = 16


async def _connection(double: Double, number: int, requests: int) -> None:
    """Push over one keep-alive connection, the next when the last is answered."""
    address = urlsplit(double.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for push in range(requests):
        writer.write(_request(f"cus_{number}", f"{number}-{push}"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = re.search(rb"Content-Length: ([0-9]+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()
    await writer.wait_closed()


def _request(customer: str, identifier: str) -> bytes:
    """A push with the headers that stripe-python sends, as far as they have a size."""
    body = (
        f"event_name=calls&identifier={identifier}&timestamp={int(time.time())}"
        f"&payload[stripe_customer_id]={customer}&payload[value]=12.5"
    )
    lines = [
        "POST /v1/billing/meter_events HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: Stripe/v1 PythonBindings/16.1.0",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        'X-Stripe-Client-User-Agent: {"bindings_version": "16.1.0", "lang": "python", "httplib": "requests"}',
        "Authorization: Bearer sk_live_throughput",
        f"Idempotency-Key: {identifier}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join([*lines, "", ""]) + body).encode()


async def _push(double: Double, requests: int) -> None:
    each = requests // _CONNECTIONS
    await asyncio.gather(*(_connection(double, number, each) for number in range(_CONNECTIONS)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.report.double.throughput")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for latency in (0, 0.001):
        for _ in range(options.rounds):
            with running.in_process() as double:
                double.settings(latency=latency)
                double.create_meter("calls")
                cpu, wall = double.process()["cpu_seconds"], time.perf_counter()
                asyncio.run(_push(double, options.requests))
                cpu, wall = double.process()["cpu_seconds"] - cpu, time.perf_counter() - wall
                done = double.counters()["accepted"]
                print(f"latency {latency}: {done / wall:,.0f} requests/s, {done / cpu:,.0f} per CPU second")


if __name__ == "__main__":
    main()

"""How fast a sender is, with the receiver and PostgreSQL on the same machine.

python -m tests.notify.pace            500 notifications, each to 20 endpoints: 10,000 deliveries
python -m tests.notify.pace 10000      10,000 notifications, each to 20 endpoints: 200,000 deliveries
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
from psycopg_pool import ConnectionPool

from pymeter.migrate import migrate
from pymeter.notify import Notifier
from tests.notify.receiver import SECRET
from tests.report.cluster import new_cluster

ENDPOINTS = 20
SUBJECTS = 200

# It takes little of the processor: what is measured is the sender.
_RECEIVER = """
import asyncio
async def answer(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]
            await reader.readexactly(int(length))
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def measure(notifications: int) -> tuple[int, float]:
    """How many deliveries arrived, and how many seconds planning and sending took."""
    os.environ["HOOK_SECRET"] = SECRET
    with (
        subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True) as receiver,
        new_cluster(None) as cluster,
    ):
        assert receiver.stdout is not None
        url = f"http://127.0.0.1:{int(receiver.stdout.readline())}"
        try:
            migrate(cluster.dsn)
            with psycopg.connect(cluster.dsn, autocommit=True) as connection:
                for number in range(ENDPOINTS):
                    connection.execute(
                        "SELECT meter.define_endpoint(%s, %s, '{threshold.exceeded}', 'HOOK_SECRET')",
                        [f"e{number}", f"{url}/e{number}"],
                    )
                connection.execute("SELECT meter.define_metric('m', 'count', 'unit')")
                connection.execute(
                    "SELECT meter.set_limit('m', 1, action => 'alert', marks => '{100}', every => 1)"
                )
                connection.execute(
                    "SELECT count(meter.record('s' || (n %% %s), 'm')) FROM generate_series(1, %s) n",
                    [SUBJECTS, notifications],
                )
            with ConnectionPool(
                cluster.dsn, min_size=1, max_size=3, kwargs={"autocommit": True}, open=True
            ) as pool:
                summary = Notifier(pool, allow_private=True).run_once()
        finally:
            receiver.kill()
    return summary.delivered, summary.seconds


if __name__ == "__main__":
    delivered, seconds = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    speed = f"{delivered / seconds:.0f} a second"
    print(f"{delivered} deliveries to {ENDPOINTS} endpoints in {seconds:.1f} s: {speed}")

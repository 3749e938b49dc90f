"""``python -m tests.report.double --port 0``: run until interrupted.

Prints two lines: the URL of the API (for STRIPE_API_BASE), then the URL of the control API.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import threading

from .server import Server


async def _serve(port: int, *, until_stdin_closes: bool) -> None:
    server = Server()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)
    for url in await server.start(port):
        print(url, flush=True)
    if until_stdin_closes:
        threading.Thread(target=_wait_for_end, args=(loop, stopping), daemon=True).start()
    await stopping.wait()
    await server.stop()


def _wait_for_end(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """Nobody reads a double whose starter is gone, however it went."""
    sys.stdin.buffer.read()
    with contextlib.suppress(RuntimeError):  # the loop is closed: it is ending already
        loop.call_soon_threadsafe(stopping.set)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.report.double", description="Stripe's meters, doubled."
    )
    parser.add_argument("--port", type=int, default=0, help="port of the API; 0 takes a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the standard input does")
    options = parser.parse_args()
    asyncio.run(_serve(options.port, until_stdin_closes=options.until_stdin_closes))


if __name__ == "__main__":
    main()

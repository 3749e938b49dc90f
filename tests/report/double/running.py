"""Ways to have a double: in a thread of the test, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from .client import Double
from .server import Server

_ROOT = Path(__file__).resolve().parents[3]
_STOP_SECONDS_MAX = 10


@contextlib.contextmanager
def in_thread(port: int = 0) -> Iterator[Double]:
    """A double in a thread: quick to start, but it shares the interpreter with the test."""
    started: SimpleQueue[tuple[str, str] | BaseException] = SimpleQueue()
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        server = Server()
        try:
            started.put(await server.start(port))
        except BaseException as error:
            started.put(error)
            raise
        await stopping.wait()
        await server.stop()

    thread = threading.Thread(target=_run, args=(loop, serve()), name="double", daemon=True)
    thread.start()
    urls = started.get()
    if isinstance(urls, BaseException):
        raise urls
    try:
        yield Double(*urls)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(_STOP_SECONDS_MAX)


def _run(loop: asyncio.AbstractEventLoop, main: object) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)  # type: ignore[arg-type]


@contextlib.contextmanager
def in_process(port: int = 0) -> Iterator[Double]:
    """A double of its own process, for throughput and for programs that are killed; it ends with this one."""
    command = [sys.executable, "-m", "tests.report.double", "--port", str(port), "--until-stdin-closes"]
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url, control_url = (process.stdout.readline().strip() for _ in range(2))
        if not control_url:
            raise RuntimeError(f"the double has not started, exit status {process.wait()}")
        yield Double(url, control_url)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""An application in Node that records: one process, node-postgres, as ``callers.mjs`` says."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.benchmarks.harness import Sample

Way = Literal["ours", "four_statements"]

_PROGRAM = Path(__file__).with_name("callers.mjs")
_PACKAGE = "pg@8"
_INSTALL_SECONDS_MAX = 120
_WARM_UP_SECONDS = 0.5


class NotInstalled(RuntimeError):
    """There is no Node, or npm cannot install node-postgres."""


class Node:
    """The process. It stays connected from one load to the next."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, way: Way, callers: int, subjects: int, seconds: float) -> Sample:
        assert self._process.stdin
        assert self._process.stdout
        work = {"way": way, "callers": callers, "subjects": subjects, "seconds": seconds}
        work["warm_up"] = min(_WARM_UP_SECONDS, seconds)
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the Node process has ended")
        measured = json.loads(answer)
        return Sample(measured["rate"], measured["latencies"])


@contextmanager
def node(dsn: str, callers: int) -> Iterator[Node]:
    """A process with a pool of so many connections to `dsn`."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise NotInstalled("node and npm are not installed")
    with tempfile.TemporaryDirectory(prefix="pymeter-node-") as name:
        folder = Path(name)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        try:
            subprocess.run(
                [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", _PACKAGE],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=_INSTALL_SECONDS_MAX,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise NotInstalled(f"npm cannot install {_PACKAGE}: {error}") from error
        shutil.copy(_PROGRAM, folder)
        with subprocess.Popen(
            [program, _PROGRAM.name, dsn, str(callers)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Node(process)
            finally:
                process.kill()

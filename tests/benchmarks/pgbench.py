"""pgbench, PostgreSQL's own load generator: next to no client in what it measures."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from pymeter import embedded
from tests.benchmarks.harness import Sample

_THREADS_MAX = 2
_CALLS_FEW = 30
_RATE = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)", re.MULTILINE)


def pgbench(dsn: str, script: str, *, clients: int, seconds: float = 0, calls: int = _CALLS_FEW) -> Sample:
    """Run `script` over and over with prepared statements: transactions a second, and their latencies.

    It runs twice as long as `seconds`, because pgbench connects anew each time and the first calls of a
    connection plan what they do. Below half a second, each client makes `calls` calls.

    A client's variable ``i`` is 0 at the start and keeps what the script makes of it.
    """
    with tempfile.TemporaryDirectory(prefix="pymeter-pgbench-") as name:
        directory = Path(name)
        (directory / "script.sql").write_text(script)
        command = [
            str(embedded.program("pgbench")),
            *("--no-vacuum", "--protocol=prepared", f"--client={clients}"),
            f"--jobs={min(clients, _THREADS_MAX)}",
            f"--time={round(2 * seconds)}" if seconds >= 0.5 else f"--transactions={calls}",
            "--define=i=0",
            *("--log", f"--log-prefix={directory / 'latencies'}"),
            f"--file={directory / 'script.sql'}",
            dsn,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=name, env=os.environ | {"LC_ALL": "C"}
        )
        rate = _RATE.search(done.stdout)
        if done.returncode != 0 or rate is None:
            raise RuntimeError(f"pgbench failed:\n{done.stdout}\n{done.stderr}")
        latencies = [
            int(line.split()[2]) / 1e6
            for log in directory.glob("latencies.*")
            for line in log.read_text().splitlines()
        ]
    return Sample(float(rate[1]), latencies)

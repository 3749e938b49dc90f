"""python -m tests.longrun [--rounds N] [--inputs N] [--minutes N] [--only PART ...] [--json] [--markdown]"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymeter import __version__, embedded
from tests.docs.markdown import write_between_marks
from tests.faults.servers import installed_servers, version_of
from tests.longrun.parts import PARTS, Result, Sizes


def main(given: Sequence[str]) -> int:
    options = _parse(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers go with it
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # that a killed server cannot roll back is no news
    programs = installed_servers()[options.server] if options.server else None
    sizes = Sizes(options.rounds, options.inputs, options.minutes, programs)
    run = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "tests.longrun", *given]),
        "pymeter": __version__,
        "postgresql": version_of(programs or embedded._programs()),
        "python": platform.python_version(),
    }
    results = []
    for name, (promise, how, work) in PARTS.items():
        if options.only and name not in options.only:
            continue
        print(f"{name}: {how}", flush=True)
        result = Result(name, promise, how, command=_command(name, options))
        started = time.monotonic()
        try:
            work(sizes, result, lambda line: print(f"  {line}", flush=True))
        except Exception as error:
            traceback.print_exc()
            result.failure = f"{type(error).__name__}: {str(error)[:2000]}"
        result.seconds = round(time.monotonic() - started, 1)
        print(f"  {result.failure or result.skipped or result.figures} ({result.seconds} s)", flush=True)
        results.append(result)
        if options.json:  # after every part: a later one may be interrupted
            report: dict[str, Any] = {"run": run, "results": [vars(result) for result in results]}
            options.json.write_text(json.dumps(report, indent=1, default=str) + "\n")
        if options.markdown:
            write_between_marks(options.markdown, "tried at length", as_markdown(run, results))
    return 1 if any(result.failure for result in results) else 0


def as_markdown(run: dict[str, str], results: Sequence[Result]) -> str:
    """The table: promise, how it was tested, what came of it, how to do it again."""
    lines = [
        f"{run['started'][:10]}, PostgreSQL {run['postgresql']}, `{run['command']}`:",
        "",
        "| Promise | How it is tested | Figures of the last long run | Command |",
        "| --- | --- | --- | --- |",
    ]
    for result in results:
        figures = f"**failed**: {result.failure}" if result.failure else result.skipped or result.figures
        cells = (result.promise, result.how, figures.replace("\n", " ").replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} | `{result.command}` |")
    return "\n".join(lines) + "\n"


def _command(part: str, options: argparse.Namespace) -> str:
    size = {
        "crashes": f" --rounds {options.rounds}",
        "disks": f" --rounds {options.rounds}",
        "storms": f" --minutes {options.minutes:g}",
        "limits": f" --rounds {options.rounds}",
        "orders": f" --rounds {options.rounds}",
        "corrections": f" --rounds {options.rounds}",
        "sealed": f" --minutes {options.minutes:g}",
        "as-of": f" --rounds {options.rounds}",
        "projections": f" --rounds {options.rounds}",
        "fuzz": f" --inputs {options.inputs}",
        "http": f" --minutes {options.minutes:g}",
        "reports": f" --rounds {options.rounds}",
        "moves": f" --rounds {options.rounds}",
        "repeats": f" --rounds {options.rounds}",
    }[part]
    server = f" --server {options.server}" if options.server else ""
    return f"python -m tests.longrun --only {part}{size}{server}"


def _parse(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.longrun", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of kills")
    parser.add_argument("--inputs", type=int, default=100_000, help="for the fuzzer, at least")
    parser.add_argument(
        "--minutes", type=float, default=5, help="of storms, of http, and of sealed, at least"
    )
    parser.add_argument("--only", nargs="+", metavar="PART", choices=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--server",
        type=int,
        metavar="MAJOR",
        choices=installed_servers(),
        help="Debian's PostgreSQL of that version instead of the wheel's",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="a file; of one that has the marks of the table, only what is between them is replaced",
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

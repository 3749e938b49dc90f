"""python -m tests.benchmarks [--quick | --full] [--only NAME ...] [--json FILE] [--markdown FILE]"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.bench import SCALES, Bench
from tests.benchmarks.harness import Harness
from tests.benchmarks.rows import ROWS
from tests.benchmarks.server import Databases, measured_server, settings_of
from tests.docs.markdown import write_between_marks

_WIDTH = 200  # of the table in a file


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server goes with it
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    scale = SCALES[options.scale]
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    if options.growth:
        scale = replace(scale, growth_events=tuple(options.growth))
    if options.window:
        scale = replace(scale, window_events_max=options.window)
    started = datetime.now(UTC)
    harness = Harness(scale.rounds)
    command = shlex.join(["python", "-m", "tests.benchmarks", *arguments])
    with nullcontext(options.dsn) if options.dsn else measured_server(options.directory) as dsn:
        settings = settings_of(dsn)
        run = report.describe_run(command, scale.name, harness.rounds, started, settings)
        report.show_run(console, run)
        with Databases(dsn) as databases:
            bench = Bench(scale, databases)
            for name in ROWS:
                if options.only and name not in options.only:
                    continue
                console.print(f"[bold]{name}[/]")
                harness.run(
                    name, ROWS[name](bench), lambda result: console.print(f"  {report.one_line(result)}")
                )
    run = report.describe_run(command, scale.name, harness.rounds, started, settings)
    report.show_table(console, harness.results)
    console.print(f"{run.seconds:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(run, harness.results), indent=1) + "\n")
    if options.markdown:
        write_between_marks(options.markdown, "measured", report.as_markdown(run, harness.results))
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="How fast pymeter is, and beside what."
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="scale", action="store_const", const="quick", help="under two minutes")
    size.add_argument(
        "--full", dest="scale", action="store_const", const="full", help="everything: hours, 50 GB of disk"
    )
    size.add_argument("--tiny", dest="scale", action="store_const", const="tiny", help=argparse.SUPPRESS)
    parser.set_defaults(scale="default")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=ROWS, help=f"of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, help="how often both sides of a row are measured")
    parser.add_argument(
        "--growth",
        type=int,
        nargs="+",
        metavar="EVENTS",
        help="at these sizes of the log (--full: 1, 10 and 50 million; a million take 0.5 GB of disk)",
    )
    parser.add_argument(
        "--window", type=int, metavar="EVENTS", help="of one subject: its window is measured, too"
    )
    parser.add_argument(
        "--dsn", help="another server, by a role that may create databases; default: a private one"
    )
    parser.add_argument(
        "--directory", type=Path, help="where the private server's data goes: a disk, not memory"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="a file; of one that has the marks of a table, only what is between them is replaced",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

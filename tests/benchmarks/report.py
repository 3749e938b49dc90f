"""The results, three times: a table for people to watch, JSON to compare, Markdown for the README."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pymeter import __version__
from tests.benchmarks.harness import Measured, Result, Unit

_FORMATS: dict[Unit, str] = {
    "calls/s": "{:,.0f}/s",
    "events/s": "{:,.0f}/s",
    "ms": "{:,.2f} ms",
    "s": "{:,.2f} s",
    "bytes": "{:,.0f}",
    "calls": "{:,.0f}",
    "instructions": "{:,.0f}",
}
_HEADER = ["what", "pymeter", "p50 / p99", "against", "p50 / p99", "ratio", "target"]
_MARKS = {True: "met", False: "missed", None: ""}


@dataclass(frozen=True)
class Run:
    """Where and how the results came about."""

    command: str
    scale: str
    rounds: int
    started_at: str
    seconds: float
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    settings: Mapping[str, str]


def describe_run(
    command: str, scale: str, rounds: int, started: datetime, settings: Mapping[str, str]
) -> Run:
    return Run(
        command=command,
        scale=scale,
        rounds=rounds,
        started_at=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 1),
        machine=_machine(),
        versions={
            "PostgreSQL": settings.get("server_version", ""),
            "Python": platform.python_version(),
            "psycopg": version("psycopg"),
            "pymeter": __version__,
        },
        settings={name: value for name, value in settings.items() if name != "server_version"},
    )


def show_run(console: Console, run: Run) -> None:
    console.print(f"[bold]{run.command}[/]  ({run.rounds} rounds)")
    console.print("machine   ", _listed(run.machine))
    console.print("versions  ", _listed(run.versions))
    console.print("settings  ", _listed(run.settings))


def show_table(console: Console, results: Sequence[Result]) -> None:
    """Everything, also what has no target; what is met in green, what is missed in red."""
    table = Table(*_HEADER)
    for result in results:
        table.add_row(*_cells(result), style={True: "green", False: "red", None: ""}[result.met])
    console.print(table)


def one_line(result: Result) -> str:
    """What is printed as soon as a row is done."""
    text = f"{result.name}: {_value(result, result.ours)}"
    if result.baseline is not None:
        text += f"; {result.baseline.name} {_value(result, result.baseline)}; ratio {_ratio(result.ratio)}"
    if result.target:
        text += f", target {result.target}: {_MARKS[result.met]}"
    return text


def as_json(run: Run, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "run": asdict(run),
        "results": [
            asdict(result)
            | {
                "spread": result.spread,
                "ours_median": result.ours.median,
                "baseline_median": result.baseline.median if result.baseline else None,
            }
            for result in results
        ],
    }


def as_markdown(run: Run, results: Sequence[Result]) -> str:
    """The table with targets, then what is shown for information, then what it was measured on."""
    lines = [*_markdown_table([r for r in results if r.target], target=True)]
    lines += ["", "<details><summary>For information, and what each row does</summary>"]
    if others := [r for r in results if not r.target]:
        lines += ["", *_markdown_table(others, target=False)]
    notes: dict[str, list[str]] = {}
    for result in results:
        if result.note and result.note != "For information.":
            notes.setdefault(result.note, []).append(result.name)
    lines += ["", *(f"- {names[0]}{' ...' * (len(names) > 1)}: {note}" for note, names in notes.items())]
    lines += [
        "",
        "</details>",
        "",
        f"Made by `{run.command}` on {run.started_at[:10]}: medians of {run.rounds} rounds, ours and the"
        " baseline in turn; in brackets the least and the greatest ratio of a round.",
        "",
        f"Machine: {_listed(run.machine)}. {_listed(run.versions)}.",
        "",
        f"Server: {_listed(run.settings, ' = ')}.",
        "",
    ]
    return "\n".join(lines)


def _markdown_table(results: Sequence[Result], *, target: bool) -> list[str]:
    columns = len(_HEADER) if target else len(_HEADER) - 1
    rows = [_HEADER[:columns], ["---"] * columns, *(_cells(result)[:columns] for result in results)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _cells(result: Result) -> list[str]:
    baseline = result.baseline
    return [
        result.name,
        _value(result, result.ours),
        _latencies(result.ours),
        f"{baseline.name}: {_value(result, baseline)}" if baseline else "",
        _latencies(baseline),
        _ratio_and_spread(result),
        f"{result.target}: {_MARKS[result.met]}" if result.target else "",
    ]


def _value(result: Result, measured: Measured) -> str:
    return _FORMATS[result.unit].format(measured.median)


def _latencies(measured: Measured | None) -> str:
    if measured is None or measured.p50_ms is None:
        return ""
    return f"{_ms(measured.p50_ms)} / {_ms(measured.p99_ms)} ms"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x" if ratio < 20 else f"{ratio:,.0f}x"


def _ratio_and_spread(result: Result) -> str:
    if result.spread is None:
        return ""
    if len(result.ratios) == 1:
        return _ratio(result.ratio)
    return f"{_ratio(result.ratio)} ({_ratio(result.spread[0])} - {_ratio(result.spread[1])})"


def _listed(facts: Mapping[str, str], join: str = " ") -> str:
    return ", ".join(f"{name}{join}{value}" for name, value in facts.items() if value)


def _machine() -> dict[str, str]:
    try:
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"
    except (AttributeError, OSError, ValueError):
        memory = ""
    return {
        "cores": str(os.cpu_count() or ""),
        "processor": _processor(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "free disk": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

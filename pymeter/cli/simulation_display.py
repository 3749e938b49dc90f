"""How scenarios are shown: the invoice as a sheet, and what is not as expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from pymeter.cli.invoice_display import InvoiceSheet
from pymeter.cli.output import bad, counted, good, note, number, table
from pymeter.models import Invoice, InvoiceHeader, Simulation
from pymeter.plain import plain


class Outcome(Enum):
    """How a scenario ended."""

    passed = "passed"
    missed = "missed"
    """Its invoice is not as expected."""
    unchecked = "unchecked"
    """It expects nothing."""
    valid = "valid"
    """It was only validated."""
    invalid = "invalid"


@dataclass(frozen=True)
class Run:
    """A file and its outcome."""

    path: str
    outcome: Outcome
    found: Simulation | None = None
    problem: str | None = None
    hint: str | None = None

    @property
    def name(self) -> str:
        """That of the scenario, else that of the file."""
        return (self.found and self.found.header.name) or Path(self.path).name

    def as_json(self) -> dict[str, Any]:
        """What a program reads: the document of simulate(), or why there is none."""
        return {
            "file": self.path,
            "name": self.name,
            "outcome": self.outcome.value,
            "problem": self.problem,
            "simulation": plain(self.found),
        }

    def misses(self) -> list[str]:
        """What is not as expected, a line each."""
        checks = self.found.expected if self.found else []
        return [f"{c.path}: expected {c.expected}, found {c.found}" for c in checks if not c.passed]


def shown(run: Run) -> RenderableType:
    """A scenario for people."""
    return Group(*_parts(run))


def _parts(run: Run) -> Iterator[RenderableType]:
    if run.outcome is Outcome.invalid:
        yield bad(f"{run.path}: {run.problem}")
        if run.hint:
            yield note(f"  {run.hint}")
    elif run.found is None:
        yield good(f"{run.path}: a scenario")
    else:
        yield InvoiceSheet(_as_invoice(run), "UTC", scenario=True)
        yield from _compared(run.found)


def _as_invoice(run: Run) -> Invoice:
    assert run.found is not None
    head = run.found.header
    header = InvoiceHeader(subject=run.name, since=head.since, until=head.until)
    return Invoice(header=header, lines=run.found.lines, totals=run.found.totals)


def _compared(found: Simulation) -> Iterator[RenderableType]:
    missed = [check for check in found.expected if not check.passed]
    if not found.expected:
        yield note("nothing is expected")
    elif not missed:
        yield good(f"as expected: {counted(len(found.expected), 'value')}")
    else:
        yield bad(f"not as expected: {len(missed)} of {counted(len(found.expected), 'value')}")
        result = table(
            "where", "expected", "found", "difference", numbers=("expected", "found", "difference")
        )
        for check in missed:
            found_value = "nothing" if check.found is None else check.found
            result.add_row(check.path, check.expected, found_value, number(check.difference))
        yield result


def summary(runs: Sequence[Run]) -> RenderableType:
    """How many scenarios came to what."""
    counts = Counter(run.outcome for run in runs)
    text = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])
    line = f"{counted(len(runs), 'scenario')}: {text}"
    return bad(line) if counts[Outcome.missed] or counts[Outcome.invalid] else good(line)

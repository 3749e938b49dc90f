"""The outcomes of scenarios as JUnit XML, which most CI systems show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from pymeter.cli.simulation_display import Outcome, Run

# What XML 1.0 cannot say.
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(file: Path, runs: Sequence[Run]) -> None:
    """Write a test case for each scenario: a failure if it is not as expected, an error if it is invalid."""
    outcomes = [run.outcome for run in runs]
    suite = ElementTree.Element(
        "testsuite",
        name="pymeter simulate",
        tests=str(len(runs)),
        failures=str(outcomes.count(Outcome.missed)),
        errors=str(outcomes.count(Outcome.invalid)),
        skipped=str(outcomes.count(Outcome.unchecked)),
    )
    for run in runs:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_said(run.path), name=_said(run.name), file=_said(run.path)
        )
        if run.outcome is Outcome.missed:
            misses = run.misses()
            failure = ElementTree.SubElement(case, "failure", message=_said(misses[0]))
            failure.text = _said("\n".join(misses))
        elif run.outcome is Outcome.invalid:
            ElementTree.SubElement(case, "error", message=_said(run.problem or ""))
        elif run.outcome is Outcome.unchecked:
            ElementTree.SubElement(case, "skipped", message="it expects nothing")
    tree = ElementTree.ElementTree(suite)
    ElementTree.indent(tree)
    tree.write(file, encoding="utf-8", xml_declaration=True)


def _said(text: str) -> str:
    return _UNSAYABLE.sub("?", text)

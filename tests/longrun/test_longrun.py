"""The long run still runs, as short as it can be."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.longrun.__main__ import _command, _parse, as_markdown, main
from tests.longrun.parts import PARTS, Result


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="servers are killed on Linux only")
def test_a_short_long_run_writes_its_table(tmp_path: Path) -> None:
    files = [f"--json={tmp_path / 'run.json'}", f"--markdown={tmp_path / 'run.md'}"]
    assert main(["--only", "storms", "--minutes=0", *files]) == 0
    (result,) = json.loads((tmp_path / "run.json").read_text())["results"]
    assert result["details"]["deadlocks"] == 0
    assert "0 lost, 0 double, 0 drifts, 0 deadlocks" in (tmp_path / "run.md").read_text()


def test_a_failure_is_not_hidden_in_the_table() -> None:
    run = {"started": "2026-06-18T00:00:00", "postgresql": "18", "command": "python -m tests.longrun"}
    table = as_markdown(run, [Result("fuzz", "P8", "how", failure="AssertionError: a | b\nc")])
    assert "**failed**: AssertionError: a \\| b c" in table


def test_every_part_is_repeated_by_its_command() -> None:
    for part in PARTS:
        assert f"--only {part} --" in _command(part, _parse([]))


def test_a_file_that_has_a_long_form_has_a_test_that_the_long_run_selects() -> None:
    """``pytest -m at_length``: without the mark, the long form is never run."""
    tests = Path(__file__).resolve().parents[1]
    forms = re.compile(r"\b(at_length|covering)\(|\bAT_LENGTH\b")
    texts = {file: file.read_text(encoding="utf-8") for file in tests.rglob("test_*.py")}
    long = {file for file, text in texts.items() if file != Path(__file__) and forms.search(text)}
    assert len(long) > 30
    assert {file for file in long if "mark.at_length" not in texts[file]} == set()

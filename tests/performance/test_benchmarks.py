"""The benchmarks still run, every row of them: what they measure is too little to mean anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.harness import Harness, Row, Sample, Side, Target
from tests.benchmarks.rows import ROWS

_REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_row_runs_on_a_server_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks", "--tiny"),
            *("--json", str(tmp_path / "results.json"), "--markdown", str(tmp_path / "results.md")),
        ],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "results.json").read_text())
    assert {result["group"] for result in report["results"]} == set(ROWS)
    assert all(result["ours_median"] > 0 for result in report["results"])
    assert report["run"]["settings"]["fsync"] == "on"
    assert report["run"]["settings"]["synchronous_commit"] == "on"
    names = [result["name"] for result in report["results"]]
    assert len(names) == len(set(names))
    assert all(f"| {name} |" in (tmp_path / "results.md").read_text() for name in names)


def test_sides_take_turns_and_the_ratio_is_of_the_medians() -> None:
    order: list[str] = []

    def side(name: str, values: list[float]) -> Side:
        def run() -> Sample:
            order.append(name)
            return Sample(values.pop(0))

        return Side(name, run)

    harness = Harness(rounds=3)
    row = Row("x", "calls/s", side("a", [30, 10, 20]), side("b", [10, 10, 5]), Target(">=", 2))
    harness.run("group", [row], lambda result: None)
    (result,) = harness.results
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert result.ratio == 2
    assert result.spread == (1, 4)
    assert result.met is True


@pytest.mark.parametrize(
    ("sign", "ratio"), [(">=", 5.0), ("<=", 0.2)], ids=["times as fast", "times its time"]
)
def test_the_ratio_of_times_says_what_the_target_says(sign: str, ratio: float) -> None:
    target = Target(">=" if sign == ">=" else "<=", 1)
    row = Row("x", "ms", Side("a", lambda: Sample(2)), Side("b", lambda: Sample(10)), target)
    harness = Harness(rounds=1)
    harness.run("group", [row], lambda result: None)
    assert harness.results[0].ratio == ratio
    assert harness.results[0].met is True

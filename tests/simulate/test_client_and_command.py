"""The Python call and the command: pymeter simulate, for the CI of a price list."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest

from pymeter import InvalidInput, Meter
from tests.cli.conftest import Run, pymeter
from tests.simulate.scenarios import item, own, sim

__all__ = ["pymeter"]

SEATS = item("seats", 7, "flat", unitPrice=10)


def write(path: Path, scenario: Any) -> Path:
    path.write_text(json.dumps(scenario), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    scenarios = {
        "passed": own(name="A launch", expected={"total": "3.00"}),
        "missed": sim(SEATS, expected={"total": 0, "tax": 0}),
        "unchecked": own(),
        "invalid": own(curency="EUR"),
    }
    return {name: write(tmp_path / f"{name}.sim.json", scenario) for name, scenario in scenarios.items()}


def test_the_call_returns_a_model(meter_dsn: str) -> None:
    scenario = own(taxes=[{"percent": Decimal("19")}], expected={"total": Decimal("3.57"), "currency": "EUR"})
    with psycopg.connect(meter_dsn) as connection:
        meter = Meter(connection)
        found = meter.simulate(scenario)
        with pytest.raises(InvalidInput) as error:
            meter.simulate(own(prices=5))
    assert (found.subtotal, found.credits, found.tax) == (Decimal("3.00"), Decimal("0.00"), Decimal("0.57"))
    assert found.total == found.totals["EUR"].amount == Decimal("3.57")
    assert [(line.kind, line.item) for line in found.lines] == [("usage", "tokens"), ("tax", "tax")]
    assert [(check.path, check.found) for check in found.expected] == [
        ("$.expected.total", "3.57"),
        ("$.expected.currency", "EUR"),
    ]
    assert found.passed is True
    assert "$.prices is not an array" in str(error.value.detail)


def test_the_status_says_whether_all_is_as_expected(pymeter: Run, files: dict[str, Path]) -> None:
    assert pymeter("simulate", files["passed"], files["unchecked"]).status == 0
    assert pymeter("simulate", files["passed"], files["missed"]).status == 1
    assert pymeter("simulate", *files.values()).status == 2
    assert pymeter("simulate", files["missed"], "--validate").status == 0
    unknown = files["missed"].with_name("unknown.sim.json")
    unknown.write_text('{"prices": {"plan": "nobody"}, "currency": "EUR"}')
    assert "`pymeter plan list`" in pymeter("simulate", unknown).out
    assert pymeter("simulate", "*.sim.json", "--validate").status == 2
    missing = pymeter("simulate", "none/*.json")
    assert (missing.status, "no file matches none/*.json" in missing.err) == (2, True)
    assert pymeter("simulate", "none.json").status == 2


def test_a_scenario_is_an_invoice_and_what_is_not_as_expected(pymeter: Run, files: dict[str, Path]) -> None:
    passed = pymeter("simulate", files["passed"]).out
    assert "A launch" in passed
    assert "3.00 EUR" in passed
    assert "as expected: 1 value" in passed
    missed = pymeter("simulate", files["missed"], "passed.sim.json").out
    assert "not as expected: 1 of 2 values" in missed
    (row,) = [line.split() for line in missed.splitlines() if "$.expected" in line]
    assert row == ["$.expected.total", "0", "70.00", "70"]
    assert "2 scenarios: 1 passed, 1 missed" in missed
    invalid = pymeter("simulate", files["invalid"]).out
    assert "invalid.sim.json: invalid scenario: $.curency is not a field here." in invalid


def test_programs_read_json_and_junit(pymeter: Run, files: dict[str, Path], tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    found = pymeter("simulate", *files.values(), "--json", "--junit", report).json
    assert [one["outcome"] for one in found] == [*files]
    assert [one["name"] for one in found] == ["A launch", "a test", "unchecked.sim.json", "invalid.sim.json"]
    assert found[0]["simulation"]["total"] == "3.00"
    assert (found[3]["simulation"], "$.curency" in found[3]["problem"]) == (None, True)
    suite = ElementTree.parse(report).getroot()
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    (failure,) = suite.iter("failure")
    assert failure.text == "$.expected.total: expected 0, found 70.00"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("metadata:\n  name: x\n", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ('{"currency": NaN}', "it is not JSON"),
        (b"\xff\xfe{", "it is not UTF-8 text"),
        ('{"currency": "\\u0000"}', "the value has no form in JSON"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "it is"),
    ],
)
def test_a_file_that_is_no_scenario_stops_no_other(
    pymeter: Run, files: dict[str, Path], tmp_path: Path, text: str | bytes, problem: str
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_bytes(text.encode() if isinstance(text, str) else text)
    ran = pymeter("simulate", bad, files["passed"])
    assert (ran.status, problem in ran.out, "1 passed, 1 invalid" in ran.out) == (2, True, True)


def test_the_standard_input_is_a_file(pymeter: Run) -> None:
    ran = pymeter("simulate", "-", "--json", input=json.dumps(own(expected={"total": 3})))
    assert (ran.status, ran.json[0]["outcome"]) == (0, "passed")

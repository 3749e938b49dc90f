"""metrics.revision: the copies that series have of a definition are good while it is theirs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, refused

CHANGES: dict[str, Any] = {
    "unit": "seats",
    "name": "Seats",
    "description": "Paid seats.",
    "rollup": "minute",
    "striped": True,
    "max_future": timedelta(hours=2),
    "carry": True,
}


def revision(ledger: Ledger, metric: str = "seats") -> int:
    return int(ledger.value("SELECT revision FROM meter.metrics WHERE key = %s", [metric]))


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_a_definition_raises_the_revision_by_one(ledger: Ledger, name: str) -> None:
    assert ledger.define("seats", "last", "seat").revision == 1
    change = {"unit": "seat", name: CHANGES[name]}
    assert ledger.define("seats", "last", **change).revision == 2
    assert ledger.define("seats", "last", **change).revision == 2, "nothing changes"


def test_aggregate_and_period_retiring_and_bringing_back_raise_it_too(ledger: Ledger) -> None:
    ledger.define("seats", "sum")
    assert ledger.define("seats", "last").revision == 2
    assert ledger.define("seats", "last", period="day").revision == 3
    for _ in range(2):
        assert ledger.call("retire_metric", key="seats")[0].revision == 4
    for _ in range(2):
        assert ledger.define("seats", "last").revision == 5


def test_a_new_and_an_ended_mapping_raise_it(ledger: Ledger) -> None:
    ledger.define("seats", "sum")
    for event_name, expected in (("seats", 2), ("chairs", 2), (None, 3), (None, 3), ("seats", 4)):
        ledger.call("report_metric", metric="seats", event_name=event_name)
        assert revision(ledger) == expected


def test_the_next_event_of_a_series_goes_by_the_changed_definition(ledger: Ledger) -> None:
    ledger.define("seats", "sum", "seat")
    for _ in range(3):
        assert ledger.record("a", "seats", 1).unit == "seat"
    ledger.define("seats", "sum", "chair")
    assert [ledger.record("a", "seats", 1).unit for _ in range(3)] == ["chair"] * 3
    ledger.call("report_metric", metric="seats", event_name="seats")
    ledger.call("plan_pushes")
    for _ in range(3):
        ledger.record("a", "seats", 1)
    assert ledger.value("SELECT count(*) FROM meter.unreported") == 3
    ledger.call("report_metric", metric="seats", event_name=None)
    ledger.record("a", "seats", 1)
    assert ledger.value("SELECT count(*) FROM meter.unreported") == 3
    ledger.call("retire_metric", key="seats")
    with refused("UM002", "metric"):
        ledger.record("a", "seats", 1)
    ledger.define("seats", "sum", "seat", striped=True)
    assert [ledger.record("a", "seats", 1).quantity for _ in range(3)] == [11, 12, 13]
    assert ledger.verify() == []

"""catalog(): what was defined."""

from __future__ import annotations

from tests.helpers import Ledger


def test_the_catalog_has_what_was_defined_by_key_retired_ones_included(ledger: Ledger) -> None:
    assert ledger.call("catalog") == []
    b = ledger.define("b", "max", "seat", name="B", description="about b", period="day", rollup="none")
    ledger.define("a", "sum")
    retired = ledger.call("retire_metric", key="a")[0]
    assert ledger.call("catalog") == [retired, b]

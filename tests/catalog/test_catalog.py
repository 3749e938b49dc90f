"""catalog(): what was defined."""

from __future__ import annotations

from tests.helpers import Ledger, refused


def test_the_catalog_has_what_was_defined_by_key_retired_ones_included(ledger: Ledger) -> None:
    assert ledger.call("catalog") == []
    b = ledger.define("b", "max", "seat", name="B", description="about b", period="day", rollup="none")
    ledger.define("a", "sum")
    retired = ledger.call("retire_metric", key="a")[0]
    assert ledger.call("catalog") == [retired, b]


def test_metric_is_the_row_of_the_catalog_retired_or_not(ledger: Ledger) -> None:
    ledger.define("a", "sum", "token", name="A")
    ledger.define("b", "last", "seat", carry=True)
    ledger.call("retire_metric", key="b")
    for row in ledger.call("catalog"):
        assert ledger.call("metric", key=row.key) == [row]


def test_an_unknown_metric_is_refused(ledger: Ledger) -> None:
    ledger.define("a", "sum")
    for key in ("A", "a ", ""):
        with refused("UM001", "metric"):
            ledger.call("metric", key=key)
    with refused("22004", "metric"):
        ledger.call("metric", key=None)

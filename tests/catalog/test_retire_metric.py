"""retire_metric(): history stays readable, recording is refused."""

from __future__ import annotations

from tests.helpers import Ledger, refused


def test_a_retired_metric_is_readable_but_not_recorded(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5)
    assert ledger.call("retire_metric", key="m")[0].retired_at is not None
    before = ledger.state()
    with refused("UM002", "metric"):
        ledger.record("a", "m", 1)
    with refused("UM002"):
        ledger.batch([{"subject": "a", "metric": "m", "quantity": 1}])
    assert ledger.state() == before
    assert ledger.usage("a", "m").quantity == 5
    assert [row.quantity for row in ledger.call("summary", subject="a")] == [5]
    assert ledger.call("summary", subject="b") == []


def test_retiring_again_changes_nothing(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    first = ledger.call("retire_metric", key="m")
    assert ledger.call("retire_metric", key="m") == first


def test_defining_a_retired_metric_again_brings_it_back(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5)
    ledger.call("retire_metric", key="m")
    with refused("UM002"):
        ledger.define("m", "max")
    assert ledger.call("catalog")[0].retired_at is not None
    assert ledger.define("m", "sum").retired_at is None
    assert ledger.record("a", "m", 5).quantity == 10


def test_p8_an_unknown_or_null_metric_is_refused(ledger: Ledger) -> None:
    with refused("UM001", "metric"):
        ledger.call("retire_metric", key="nope")
    with refused("22004"):
        ledger.call("retire_metric", key=None)

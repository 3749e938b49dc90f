"""P7: UPDATE, DELETE and TRUNCATE on the log are refused, for its owner too."""

from __future__ import annotations

import pytest

from tests.helpers import Ledger, at, refused


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meter.events SET quantity = 9",
        "UPDATE meter.events SET at = at + interval '1 month'",
        "DELETE FROM meter.events",
        "DELETE FROM ONLY meter.events_2026_06",
        "UPDATE meter.events_2026_06 SET quantity = 9",
        "TRUNCATE meter.events",
        "TRUNCATE ONLY meter.events_2026_06",
        "TRUNCATE meter.events_2026_06",
        "TRUNCATE meter.events_default",
        "TRUNCATE meter.rollups, meter.events CASCADE",
        "MERGE INTO meter.events e USING (VALUES (1)) v (x) ON true WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM meter.events RETURNING *) SELECT count(*) FROM gone",
    ],
)
def test_p7_the_log_refuses_change(ledger: Ledger, statement: str) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=at("2026-06-18"), idempotency_key="k")
    ledger.maintain()
    ledger.record("a", "m", 5, at=at("2020-06-18"))
    before = ledger.state()
    with refused("42501"):
        ledger.execute(statement)
    assert ledger.state() == before

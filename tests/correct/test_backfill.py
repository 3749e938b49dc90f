"""A month of a subject is replaced, while the subject records on. The long run has 100,000 events."""

from __future__ import annotations

import pytest

from tests.correct.backfill import run_backfill

EVENTS = 3_000
# Members are looked up one by one while the series is locked.
LONGEST_WAIT = {"sum": 1.0, "max": 1.0, "unique": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(("how", "aggregate"), [("replace", "sum"), ("amend", "max"), ("replace", "unique")])
def test_a_month_is_replaced_previewed_applied_and_taken_back_beside_a_recorder(
    meter_dsn: str, how: str, aggregate: str
) -> None:
    done = run_backfill(meter_dsn, EVENTS, how, aggregate)
    assert done.recorded > 20
    assert done.longest_wait < LONGEST_WAIT[aggregate], done
    assert done.seconds["preview"] < 30 * EVENTS / 100_000 + 2, done

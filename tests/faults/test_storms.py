"""P2, P3, P4: many sessions record one set of events at every isolation level: none lost, none double."""

from __future__ import annotations

import pytest
from psycopg import IsolationLevel

from tests.faults.storms import assert_calm, run_storm


@pytest.mark.slow
@pytest.mark.parametrize("level", [*IsolationLevel][1:], ids=lambda level: level.name.lower())
def test_a_storm_of_the_same_events_counts_each_once(meter_dsn: str, level: IsolationLevel) -> None:
    storm = run_storm(meter_dsn, sessions=12, events=400, levels=(level,))
    assert_calm(storm)


@pytest.mark.slow
def test_statements_that_are_canceled_in_a_storm_count_once_when_they_are_sent_again(meter_dsn: str) -> None:
    storm = run_storm(meter_dsn, sessions=12, events=400, seed=2, statement_timeout_ms=3)
    assert_calm(storm)
    assert storm.timeouts, "no statement was canceled: this tested nothing"

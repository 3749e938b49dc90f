"""project_usage() of any usage at any time answers what a naive model does."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import Ledger, at, examples
from tests.pricing.projection_model import project

START = at("2026-04-01")
SINCE, UNTIL = at("2026-06-01"), at("2026-07-01")


def history(chance: Random) -> list[tuple[datetime, float]]:
    """Usage of some days, on some of their hours, at a level that may change, and perhaps a credit."""
    first = START + timedelta(hours=chance.randint(0, 24 * 70))
    length = chance.choice((2, 6.9, 7.1, 15, 22, 40, 80))
    density, level, jump = chance.choice((0.02, 0.2, 1)), chance.choice((3, 1000)), chance.uniform(0.2, 5)
    events = []
    for hour in range(int(24 * length)):
        when = first + timedelta(hours=hour, minutes=chance.randint(0, 59))
        if when < UNTIL and chance.random() < density:
            later = jump if hour > 12 * length else 1
            events.append((when, float(round(chance.expovariate(1) * level * later))))
    return events


@given(seed=st.integers(0, 2**32), minutes=st.integers(0, 30 * 24 * 60 - 1))
@examples(60, 1500)
def test_it_is_what_a_naive_model_says(ledger: Ledger, seed: int, minutes: int) -> None:
    chance = Random(seed)
    events = history(chance)
    now = SINCE + timedelta(minutes=minutes if chance.random() < 0.8 else minutes // 60 * 60)
    striped, rollup = chance.random() < 0.3, chance.choice(("hour", "minute"))
    metric = f"tokens_{rollup}_{striped}"
    ledger.define(metric, "sum", striped=striped, rollup=rollup)
    subject = f"acct_{uuid4()}"
    for size in range(0, len(events), 1000):
        ledger.batch(
            [
                {"subject": subject, "metric": metric, "quantity": quantity, "at": when}
                for when, quantity in events[size : size + 1000]
            ]
        )
    (row,) = ledger.call("project_usage", subject=subject, metric=metric, now=now)
    expected = project(events, SINCE, UNTIL, now)
    assert float(row.used) == expected.used
    assert (row.since, row.until, row.at) == (SINCE, UNTIL, now)
    assert row.method == (expected.method or "none")
    if expected.method is None:
        assert (row.low, row.expected, row.high) == (None, None, None)
        assert row.reason
        return
    for answered, value in (
        (row.low, expected.low),
        (row.expected, expected.expected),
        (row.high, expected.high),
    ):
        assert float(answered) == pytest.approx(value, rel=1e-9, abs=0.6), "rounded to whole units"
    assert row.used <= row.low <= row.expected <= row.high
    if expected.method != "unchanged":
        assert (row.run_rate is None) == (expected.run_rate is None)
        assert float(row.weekday_profile) == pytest.approx(expected.profile, rel=1e-9, abs=0.6)
        assert float(row.run_rate or 0) == pytest.approx(expected.run_rate or 0, rel=1e-9, abs=0.6)

"""The rollup `minute`: the two ends of a window that are read from the log are shorter than a minute."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from tests.helpers import AGGREGATES, AT_LENGTH, PERIODS, Ledger, at, at_length

BASE = at("2026-05-31 23:00")


def event(aggregate: str, random: Random) -> dict[str, Any]:
    if aggregate == "unique":
        return {"member": f"user_{random.randrange(5)}"}
    return {"quantity": random.randrange(9)}


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "period"),
    [
        (aggregate, period)
        for i, aggregate in enumerate(AGGREGATES)
        for j, period in enumerate(PERIODS)
        if AT_LENGTH or (i + j) % 7 in (0, 3)
    ],
)
def test_minutes_are_counted_whatever_the_period(ledger: Ledger, aggregate: str, period: str) -> None:
    random = Random(period + aggregate)
    metric = ledger.define("m", aggregate, period=period, rollup="minute")
    assert (metric.fine_bucket, metric.coarse_bucket) == ("minute", period)
    for number in range(at_length(16, 30)):
        given = {"at": BASE + timedelta(seconds=random.randrange(7200)), **event(aggregate, random)}
        if number % 2:
            ledger.record("a", "m", **given)
        else:
            ledger.batch([{"subject": "a", "metric": "m", **given}])
    assert ledger.verify() == []
    for _ in range(10):
        since = BASE + timedelta(seconds=random.randrange(3600))
        until = since + timedelta(seconds=random.randrange(1, 5000))
        answer = ledger.usage("a", "m", since=since, until=until)
        assert (answer.quantity, answer.event_count) == ledger.brute("a", "m", since, until)

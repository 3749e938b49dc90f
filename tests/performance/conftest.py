"""A meter with thousands of rows in it, and the means to see the plans of a call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.benchmarks import seed
from tests.performance.plans import Plans, explainer

HOT_EVENTS = 6_000
OTHER_SUBJECTS = 400


@pytest.fixture
def now() -> datetime:
    """A moment between hour marks, some hours ago."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3, minutes=22)


@pytest.fixture
def filled(connect: Callable[..., psycopg.Connection[Any]], now: datetime) -> psycopg.Connection[Any]:
    """``acct_0`` with 6,000 events of ``tokens`` in 30 days and as many of ``users``; 400 other subjects."""
    connection = connect("plans")
    since = now - 30 * seed.DAY
    seed.define(connection, "tokens")
    seed.define(connection, "users", "unique")
    seed.partitions(connection, since, now)
    seed.log(connection, "tokens", events=HOT_EVENTS, since=since, until=now, keys=True)
    seed.log(connection, "users", events=HOT_EVENTS, since=since, until=now, members=50)
    for metric, members in (("tokens", 0), ("users", 1000)):
        seed.log(
            connection,
            metric,
            events=10 * OTHER_SUBJECTS,
            subjects=OTHER_SUBJECTS,
            since=since,
            until=now,
            prefix="other_",
            members=members,
        )
    seed.settle(connection)
    return connection


@pytest.fixture
def explain(filled: psycopg.Connection[Any]) -> Callable[..., Plans]:
    """``explain(call, parameters)``: the plans of the seventh such call on one connection."""
    return explainer(filled)

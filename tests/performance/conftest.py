"""A meter with thousands of rows in it, and the means to see the plans of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pymeter import pytest_plugin
from tests.benchmarks import seed
from tests.databases import Databases
from tests.performance.plans import Plans, explainer

HOT_EVENTS = 6_000
OTHER_SUBJECTS = 400


@pytest.fixture(scope="session")
def now() -> datetime:
    """A moment between hour marks, some hours ago."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3, minutes=22)


@pytest.fixture(scope="session")
def filled_template(databases: Databases, pymeter_template: str, now: datetime) -> Iterator[str]:
    """The name of the database that ``filled`` is a copy of: filling it takes longer than any test."""
    name = pytest_plugin._database_name("filled")
    with psycopg.connect(databases.create(name, pymeter_template), autocommit=True) as connection:
        _fill(connection, now)
    yield name
    databases.drop(name)


def _fill(connection: psycopg.Connection[Any], now: datetime) -> None:
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


@pytest.fixture
def meter_dsn(databases: Databases, pymeter_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, which is filled if the test asks for that."""
    filled = "filled" in request.fixturenames
    name = pytest_plugin._database_name("performance")
    yield databases.create(name, request.getfixturevalue("filled_template") if filled else pymeter_template)
    databases.drop(name)


@pytest.fixture
def filled(connect: Callable[..., psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """``acct_0`` with 6,000 events of ``tokens`` in 30 days and as many of ``users``; 400 other subjects."""
    return connect("plans")


@pytest.fixture
def explain(filled: psycopg.Connection[Any]) -> Callable[..., Plans]:
    """``explain(call, parameters)``: the plans of the seventh such call on one connection."""
    return explainer(filled)

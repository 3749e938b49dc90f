"""P8, P13: whatever a Python program passes to a client is answered or refused with an error of pymeter's.

Values here are Python's: floats, times without a zone, lone surrogates, things nested too deep. What reaches
the database is for test_every_function.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pymeter import Meter, calls, pytest_plugin
from pymeter.errors import MeterError
from tests.databases import Databases
from tests.faults.lived_in import live
from tests.helpers import Ledger, at_length

INPUTS = at_length(20, 60)  # for each method
ERROR_CHARACTERS_MAX = 5000
# As psycopg raised them: PostgreSQL's own words for what is beyond it, what took longer than this test's
# statement_timeout, and a subject that the role of this test is not bound to.
PASSED_ON = ("54001", "57014", "42501")


def _nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


class Odd:
    """An object that nothing expects."""


_ITSELF: dict[str, Any] = {}
_ITSELF["me"] = _ITSELF
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, -(2**63) - 1, 10**5000, 0.1, float("nan"), float("-inf"), 1e400),
    *(
        Decimal("-0"),
        Decimal("1e400"),
        Decimal("1e-400"),
        Decimal("sNaN"),
        Decimal("NaN"),
        Decimal("Infinity"),
    ),
    *(Decimal("1e999999"), Decimal("1e-999999"), Decimal("9" * 500), 3j),
    *("", " ", "\0", "\ud800", "x" * (1 << 20), "\u202e", "1e5", "NaN", "½", "month", "by sum", "acct_1"),
    *(b"", b"acct_1", bytearray(b"x"), memoryview(b"x")),
    *(datetime(2024, 1, 1), datetime.min, datetime.max, date(2024, 1, 1), timedelta(days=1), timedelta.max),
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-23))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
    datetime(2024, 6, 1, tzinfo=timezone(timedelta(seconds=1))),
    *(
        [],
        {},
        [None],
        [{}],
        [[]],
        (),
        set(),
        {"a": {1}},
        {1: 2},
        {"\0": 1},
        {"\ud800": 1},
        {"a": float("nan")},
    ),
    *(
        {"a": 10**5000},
        {"a": Decimal("sNaN")},
        {"a": b"x"},
        {"a": Odd()},
        [{"subject": Odd()}],
        Odd(),
        Odd,
        len,
    ),
    *(_nested(100), _nested(100_000), [_nested(100_000)], _ITSELF, [_ITSELF]),
    [{"subject": "acct_1", "metric": "by sum", "quantity": 0.1}],
    [{"subject": "acct_1", "metric": "by sum", "quantity": Decimal("1e999999")}],
    [{"subject": "acct_1", "metric": "by sum", "quantity": 1, "at": datetime(2024, 1, 1)}],
    [{"subject": "acct_1", "metric": "by sum", "quantity": 1, "at": datetime.max.replace(tzinfo=UTC)}],
    [{"subject": "acct_1", "metric": "by sum", "quantity": 1, "metadata": _nested(100_000)}],
    [{"subject": "acct_1", "metric": "by sum", "quantity": 1, "no such field": 1}],
)
SENSIBLE: dict[str, Any] = {
    "subject": "acct_1",
    "metric": "by sum",
    "key": "by sum",
    "aggregate": "sum",
    "unit": "unit",
    "quantity": 1,
    "quota": 10,
    "plan": "pro",
    "name": "notifications_keep",
    "value": "30 days",
    "url": "https://example.com/hook",
    "types": ["*"],
    "factor": 3,
    "anchor": datetime(2024, 1, 31, tzinfo=UTC),
    "dimension": "model",
    "since": datetime(2024, 1, 1, tzinfo=UTC),
    "until": datetime(2024, 1, 5, tzinfo=UTC),
    "events": [{"subject": "acct_1", "metric": "by sum", "quantity": 1}],
}
METHODS = sorted(
    name
    for name, method in inspect.getmembers(Meter, inspect.isfunction)
    if not name.startswith("_") and hasattr(calls, name)
)


@pytest.fixture(scope="module")
def lived_in(databases: Databases, pymeter_template: str) -> Iterator[str]:
    """The name of a database that was in use, to be copied."""
    name = pytest_plugin._database_name("lived_in")
    with psycopg.connect(databases.create(name, pymeter_template), autocommit=True) as connection:
        live(Ledger(connection))
    yield name
    databases.drop(name)


@pytest.fixture
def meter_dsn(databases: Databases, lived_in: str) -> Iterator[str]:
    name = pytest_plugin._database_name("lived_in_copy")
    yield databases.create(name, lived_in)
    databases.drop(name)


@pytest.fixture
def meter(meter_dsn: str) -> Iterator[Meter]:
    with psycopg.connect(meter_dsn) as connection:
        connection.execute("SET statement_timeout = '2s'")
        connection.commit()
        yield Meter(connection)
        connection.rollback()


def _arguments(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any arguments, most of which make sense where they have to be given."""
    required, optional = {}, {}
    for parameter in list(inspect.signature(getattr(Meter, name)).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hostile = st.sampled_from(range(len(HOSTILE))).map(lambda n: HOSTILE[n])
        good = SENSIBLE.get(parameter.name)
        value = hostile if good is None else st.one_of(st.just(good), hostile)
        (optional if parameter.default is not parameter.empty else required)[parameter.name] = value
    return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.at_length
@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_any_argument_is_answered_or_refused_by_pymeter(meter: Meter, name: str) -> None:
    connection = meter._source
    assert isinstance(connection, psycopg.Connection)

    @seed(1)
    @settings(
        max_examples=INPUTS,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(_arguments(name))
    def call(arguments: dict[str, Any]) -> None:
        try:
            getattr(meter, name)(**arguments)
        except MeterError as error:
            # PostgreSQL repeats what it cannot read as an interval; everything else is worded by pymeter.
            if len(str(error)) > ERROR_CHARACTERS_MAX and error.sqlstate != "22007":
                pytest.fail(f"{name}: a whole value in an error")
        except psycopg.Error as error:
            if error.sqlstate not in PASSED_ON:
                raise
        except TypeError as error:
            if "not iterable" not in str(
                error
            ):  # what is to be walked through must be something to walk through
                raise
        finally:
            connection.rollback()

    call()


def test_the_methods_are_those_that_there_are() -> None:
    assert len(METHODS) >= 15

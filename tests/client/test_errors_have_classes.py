"""What SQL refuses arrives as one class per SQLSTATE, with the database's error as its cause."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from pymeter import Meter, errors

NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def tokens(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.define_metric("users", "unique", "user")


@pytest.mark.parametrize(
    ("call", "kind", "parameter"),
    [
        (lambda m: m.record("a", "tokns", 1), errors.UnknownMetric, "metric"),
        (lambda m: m.record("a", "users", 1), errors.MetricForbids, "quantity"),
        (lambda m: m.record(None, "tokens", 1), errors.NullInput, "subject"),
        (lambda m: m.record("a", "tokens", "NaN"), errors.InvalidInput, "quantity"),
        (lambda m: m.record("a", "tokens", -1), errors.InvalidInput, "quantity"),
        (lambda m: m.usage("a", "tokens", period="fortnight"), errors.InvalidInput, "period"),
        (
            lambda m: m.record_batch([{"subject": "a", "metric": "tokens", "qty": 1}]),
            errors.InvalidInput,
            "events",
        ),
    ],
)
def test_a_refusal_has_its_class_its_parameter_and_a_hint(
    meter: Meter, call: Callable[[Meter], Any], kind: type[errors.MeterError], parameter: str
) -> None:
    with pytest.raises(errors.MeterError) as caught:
        call(meter)
    error = caught.value
    assert type(error) is kind
    assert error.sqlstate == kind.default_sqlstate
    assert error.parameter == parameter
    assert error.hint
    assert isinstance(error.__cause__, psycopg.Error)
    assert error.__cause__.sqlstate == error.sqlstate
    assert str(error).startswith(error.message)


def test_the_message_is_constant_and_the_detail_has_the_values(meter: Meter) -> None:
    messages = set()
    for name in ("one", "two"):
        with pytest.raises(errors.UnknownMetric) as caught:
            meter.record("a", name, 1)
        messages.add(caught.value.message)
        assert name in (caught.value.detail or "")
    assert len(messages) == 1


def test_a_null_is_also_invalid_and_a_value_error(meter: Meter) -> None:
    assert issubclass(errors.NullInput, errors.InvalidInput)
    assert issubclass(errors.InvalidInput, ValueError)


def test_where_no_meter_is_the_error_says_how_to_install_one(
    meter_connection: psycopg.Connection[Any],
) -> None:
    with pytest.raises(errors.NotInstalled) as caught:
        Meter(meter_connection, schema="nowhere").catalog()
    assert "pymeter migrate" in (caught.value.hint or "")
    meter_connection.rollback()
    with pytest.raises(errors.NotInstalled):
        Meter(meter_connection, schema="pg_catalog").usage("a", "tokens")


def test_two_transactions_that_collide_are_told_to_try_again(meter_dsn: str) -> None:
    first, second = (psycopg.connect(meter_dsn) for _ in range(2))
    for connection in (first, second):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        Meter(connection).usage("a", "tokens")
    Meter(first).record("a", "tokens", 1, at=NOON)
    first.commit()
    with pytest.raises(errors.SerializationFailure) as caught:
        Meter(second).record("a", "tokens", 1, at=NOON)
    assert caught.value.sqlstate == "40001"
    first.close()
    second.close()


def test_other_errors_pass_untouched(meter_connection: psycopg.Connection[Any]) -> None:
    meter_connection.execute("CREATE ROLE nobody_here; SET ROLE nobody_here")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        Meter(meter_connection).catalog()
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        Meter(meter_connection).catalog()
    meter_connection.rollback()


def test_a_lost_connection_passes_untouched(
    meter_dsn: str, meter_connection: psycopg.Connection[Any]
) -> None:
    meter_connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    with psycopg.connect(meter_dsn, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", (meter_connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        Meter(meter_connection).catalog()


@pytest.mark.parametrize("kind", sorted(set(errors.BY_SQLSTATE.values()), key=lambda kind: kind.__name__))
def test_errors_can_be_pickled(kind: type[errors.MeterError]) -> None:
    error = kind("refused", detail="the values", hint="the fix", parameter="subject", sqlstate="UM999")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == "refused\nDETAIL:  the values\nHINT:  the fix"

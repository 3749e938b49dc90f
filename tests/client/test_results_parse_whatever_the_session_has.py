"""Results are the same whatever the caller's session formats them by, and the session stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pymeter import Meter, migrate
from pymeter.embedded import temporary_server

AT = datetime(2026, 6, 7, 8, 9, 10, 123456, tzinfo=UTC)
SESSIONS: dict[str, dict[str, str]] = {
    "dates of SQL": {"DateStyle": "SQL, DMY"},
    "dates of Germany": {"DateStyle": "German, DMY"},
    "dates of old": {"DateStyle": "Postgres, MDY"},
    "intervals of SQL": {"IntervalStyle": "sql_standard"},
    "intervals of ISO": {"IntervalStyle": "iso_8601"},
    "verbose intervals": {"IntervalStyle": "postgres_verbose"},
    "another zone": {"TimeZone": "Asia/Kathmandu"},
    "a zone that Python does not know": {"TimeZone": "<+0545>-05:45"},
    "strings of old": {"standard_conforming_strings": "off", "bytea_output": "escape"},
    "short floats": {"extra_float_digits": "-15"},
    "no arrays with nulls": {"array_nulls": "off"},
    "Latin 1": {"client_encoding": "LATIN1"},
    "an encoding without letters": {"client_encoding": "SQL_ASCII"},
}


@pytest.mark.parametrize("settings", SESSIONS.values(), ids=SESSIONS)
def test_every_kind_of_result_parses(meter_dsn: str, settings: dict[str, str]) -> None:
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), value))
        before = _settings(connection)
        _check(Meter(connection))
        after = _settings(connection)
        assert {name: after[name] for name in before} == before


def _settings(connection: psycopg.Connection[Any]) -> dict[Any, Any]:
    """Those that a session may change."""
    return dict(connection.execute("SELECT name, setting FROM pg_settings WHERE context = 'user'").fetchall())


def _check(meter: Meter) -> None:
    defined = meter.define_metric("tokens", "sum", "tökén", max_future=timedelta(hours=36, minutes=5))
    assert (defined.unit, defined.max_future) == ("tökén", timedelta(hours=36, minutes=5))
    recorded = meter.record("acct_é", "tokens", "0.1", at=AT, idempotency_key="k", metadata={"a": "b"})
    assert recorded.outcome == "recorded"
    assert (recorded.period_start, recorded.period_end) == (
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 7, 1, tzinfo=UTC),
    )
    (event,) = meter.events("acct_é")
    assert (event.at, event.subject, event.metadata) == (AT, "acct_é", {"a": "b"})
    window = meter.resolve_window(since=AT, until=AT + timedelta(days=1))
    assert (window.since, window.until) == (AT, AT + timedelta(days=1))
    rules = meter.define_biller(subject_is_customer=True, grace=timedelta(hours=30))
    assert rules.grace == timedelta(hours=30)
    assert meter.report_metric("tokens", "tokens").event_name == "tokens"
    meter.plan_pushes(now=AT + timedelta(hours=3))
    (push,) = meter.pushes()
    assert (push.customer, push.stamped_at, str(push.value)) == ("acct_é", AT.replace(microsecond=0), "0.1")
    (claimed,) = meter.claim_pushes("stripe", "worker", now=AT + timedelta(hours=3))
    assert claimed.leased_until == AT + timedelta(hours=3, minutes=2)
    assert meter.health().problems is not None
    assert (
        meter.series("acct_é", "tokens", AT - timedelta(days=1), AT + timedelta(days=1))[1].event_count == 1
    )
    assert meter.access() is not None


@pytest.fixture
def ascii_database() -> Iterator[str]:
    """A database without an encoding, in which a connection has none either."""
    with temporary_server() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE DATABASE raw ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
            )
        made = psycopg.conninfo.make_conninfo(dsn, dbname="raw")
        migrate(made)
        yield made


def test_a_database_without_an_encoding_counts_once(ascii_database: str) -> None:
    with psycopg.connect(ascii_database, autocommit=True) as connection:
        assert connection.info.encoding == "ascii"
        _check(Meter(connection))


def test_bytes_that_are_no_text_do_not_raise_after_the_commit(ascii_database: str) -> None:
    with psycopg.connect(ascii_database, autocommit=True) as connection:
        meter = Meter(connection)
        connection.execute("SELECT meter.define_metric('tokens', 'sum', convert_from('\\xff', 'SQL_ASCII'))")
        assert meter.record("acct_1", "tokens", 1).unit == "\\xff"


def test_a_caller_that_is_serializable_is_told(meter_dsn: str) -> None:
    options: dict[str, Any] = {"options": "-c default_transaction_isolation=serializable"}
    with psycopg.connect(meter_dsn, autocommit=True, **options) as connection:
        with pytest.raises(psycopg.errors.ActiveSqlTransaction):
            Meter(connection).maintain()
        assert connection.execute("SHOW default_transaction_isolation").fetchone() == ("serializable",)

"""Nothing depends on a setting of the session, nor on what else it has in its search_path."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.helpers import AGGREGATES, Ledger, at, at_length

SETTINGS = [
    "timezone = 'America/New_York'",
    "timezone = 'Asia/Kathmandu'",
    "timezone = 'Australia/Lord_Howe'",
    # From PostgreSQL 18 on these make UTC, and the zone of an argument, mean something else.
    "timezone = 'UTC+3'",
    "timezone = '<UTC>-5'",
    "datestyle = 'SQL, DMY'",
    "datestyle = 'German'",
    "datestyle = 'Postgres, MDY'",
    "intervalstyle = 'iso_8601'",
    "intervalstyle = 'sql_standard'",
    "extra_float_digits = -15",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "escape_string_warning = on",
    "bytea_output = 'escape'",
    "transform_null_equals = on",
    "array_nulls = off",
    "timezone_abbreviations = 'India'",
    "timezone_abbreviations = 'Australia'",
    "plan_cache_mode = 'force_generic_plan'",
    "plan_cache_mode = 'force_custom_plan'",
    "enable_partition_pruning = off",
    "enable_seqscan = off",
    "enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off",
    "force_parallel_mode = 'on'",
    "debug_parallel_query = 'on'",
    "client_encoding = 'LATIN1'",
    "search_path = ''",
    "search_path = 'pg_temp, pg_catalog'",
    "default_transaction_isolation = 'repeatable read'",
    "default_transaction_isolation = 'serializable'",
    "default_toast_compression = 'pglz'",
    "lc_numeric = 'C'",
    "plpgsql.extra_errors = 'all'",
    "plpgsql.variable_conflict = 'use_variable'",
    "plpgsql.variable_conflict = 'error'",
    "plpgsql.variable_conflict = 'use_column'",
    "check_function_bodies = on",
    "quote_all_identifiers = on",
]
# In the suite several at once; those of one parameter are neighbours above, and so in different groups.
GROUPS = at_length([SETTINGS[n::9] for n in range(9)], [[setting] for setting in SETTINGS])


def maintained(ledger: Ledger) -> list[Any]:
    """maintain() insists on READ COMMITTED, whatever the default is."""
    with ledger.connection.transaction():
        ledger.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return ledger.maintain()


def story(ledger: Ledger) -> list[Any]:
    """One of everything; what comes back does not contain ids or the present time."""
    told: list[Any] = []
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate, period="week" if aggregate == "max" else "month")
    maintained(ledger)
    for i in range(6):
        for metric in AGGREGATES:
            event: dict[str, Any] = {"subject": f"s{i % 2}", "metric": metric, "idempotency_key": f"k{i % 5}"}
            event |= {"at": f"2026-03-0{7 + i % 3}T0{i}:30:00.25Z", "metadata": {"k": f"v{i % 3}"}}
            event |= {"member": f"u{i % 2}"} if metric == "unique" else {"quantity": f"{i}.5"}
            if i % 2:
                told.append(
                    [
                        (o.outcome, o.sqlstate, o.message)
                        for o in ledger.batch([event, event | {"at": "no"}], "skip")
                    ]
                )
            else:
                recorded = ledger.record(**event)
                told.append(
                    (
                        recorded.outcome,
                        recorded.quantity,
                        recorded.unit,
                        recorded.period_start,
                        recorded.period_end,
                    )
                )
    now = at("2026-03-08 06:59:59.999999")
    for period in (
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "year",
        "never",
        "15m",
        "1 month",
        "1h 30m",
        "36 hours",
    ):
        for zone in ("UTC", "America/New_York", "Asia/Kathmandu"):
            told.append(ledger.window(period=period, timezone=zone, now=now))
            told.append(ledger.usage("s0", "sum", period=period, timezone=zone, now=now))
    window = {"since": at("2026-03-07 01:00"), "until": at("2026-03-10 00:00:01")}
    for metric in AGGREGATES:
        told.append(ledger.usage("s1", metric, **window))
        told.append(
            ledger.call(
                "series", subject="s0", metric=metric, step="day", timezone="America/New_York", **window
            )
        )
        told.append(ledger.call("series", subject="s0", metric=metric, step="7h", **window))
        told.append(
            sorted(ledger.call("usage_by", subject="s0", metric=metric, dimension="k", **window), key=str)
        )
    told.append(ledger.call("summary", subject="s0", **window))
    told.append(ledger.call("subjects"))
    told.append([(e.at, e.metric, e.quantity) for e in ledger.call("events", subject="s0", **window)])
    told.append(
        ledger.call("check_quota", subject="s0", metric="sum", quota=Decimal("4.5"), requested=1, **window)
    )
    told.append(ledger.verify())
    ledger.tamper("event_count = event_count + 1", "metric OPERATOR(pg_catalog.=) 'sum'")
    told.append(ledger.verify())
    told.append(ledger.rebuild())
    told.append(ledger.verify())
    told.append(ledger.derived())
    told.append(maintained(ledger))
    return told


_reference: list[Any] = []


@pytest.mark.at_length
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_a_session_setting_changes_no_answer(
    ledger: Ledger, new_ledger: Callable[..., Ledger], group: list[str]
) -> None:
    for setting in group:
        with suppress(psycopg.errors.UndefinedObject):  # no setting of this server
            ledger.execute(f"SET {setting}")
    if not _reference:
        plain = new_ledger("plain", autocommit=False)
        _reference.append(instants(story(plain)))
        plain.connection.rollback()
    # Binary, since the driver reads times as text in ISO style only.
    assert instants(story(Ledger(ledger.connection, binary=True))) == _reference[0]


HOSTILE = """
    CREATE TEMP TABLE metrics (key text);
    CREATE TEMP TABLE events (event_id int);
    CREATE TEMP TABLE rollups (subject text);
    CREATE TEMP TABLE unique_members (subject text);
    CREATE TEMP TABLE keys (subject text);
    CREATE TEMP TABLE old_keys (subject text);
    CREATE TEMP TABLE series (subject text);
    CREATE TYPE pg_temp.recorded AS (x int);
    CREATE TYPE pg_temp.usage_total AS (x int);
    CREATE DOMAIN pg_temp.numeric AS pg_catalog.int4;
    CREATE FUNCTION pg_temp.now() RETURNS pg_catalog.timestamptz LANGUAGE sql
        AS $$ SELECT timestamptz '2000-01-01' $$;
    CREATE FUNCTION pg_temp._digest(value text) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
    CREATE FUNCTION pg_temp._bucket_start(bucket text, at pg_catalog.timestamptz)
        RETURNS pg_catalog.timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2000-01-01' $$;
    CREATE FUNCTION pg_temp.trim_scale(pg_catalog.numeric) RETURNS pg_catalog.numeric LANGUAGE sql
        AS $$ SELECT 7.0 $$;
    CREATE SCHEMA hostile;
    CREATE FUNCTION hostile.equal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
    CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.equal);
    CREATE FUNCTION hostile.date_trunc(text, timestamp) RETURNS timestamp LANGUAGE sql
        AS $$ SELECT timestamp '2000-01-01' $$;
    CREATE FUNCTION hostile.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
    SET search_path = pg_temp, hostile, pg_catalog, meter;
"""


def test_names_in_the_callers_search_path_shadow_nothing(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    plain = new_ledger("plain", autocommit=False)
    told = instants(story(plain))
    plain.connection.rollback()
    ledger.execute(HOSTILE)
    assert instants(story(ledger)) == told


def test_how_far_in_the_future_does_not_depend_on_the_sessions_time_zone(ledger: Ledger) -> None:
    """A day of 25 hours in the session's zone must not allow more than a day of 24 does."""
    days, wider = ledger.row(
        "SELECT n, ny > utc FROM generate_series(1, 300) n,"
        " LATERAL (SELECT now() + make_interval(hours => 24 * n), (now() AT TIME ZONE 'America/New_York'"
        " + make_interval(days => n)) AT TIME ZONE 'America/New_York') t (utc, ny) WHERE ny <> utc LIMIT 1"
    )
    ledger.define("m", "sum", max_future=f"{days} days")
    moment = ledger.value(
        "SELECT now() + make_interval(hours => 24 * %s, mins => %s)", [days, 30 if wider else -30]
    )
    accepted = []
    for zone in ("UTC", "America/New_York"):
        ledger.execute(f"SET timezone = '{zone}'")
        outcome = ledger.batch([{"subject": "a", "metric": "m", "quantity": 1, "at": moment}], "skip")[0]
        accepted.append(outcome.outcome)
    assert accepted[0] == accepted[1]


def instants(value: Any) -> Any:
    """The same with every time as a number, since the session decides in which zone the driver shows it."""
    if isinstance(value, (list, tuple)):
        return [instants(v) for v in value]
    if isinstance(value, dict):
        return {k: instants(v) for k, v in value.items()}
    return value.timestamp() if isinstance(value, datetime) else value

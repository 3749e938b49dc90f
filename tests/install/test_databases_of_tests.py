"""The databases that tests are lent: as new every time, or not lent again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest

from pymeter.embedded import program
from tests import databases as module
from tests.close.closing import JUNE, close, define_each, use
from tests.databases import Databases
from tests.helpers import AGGREGATES, Ledger, at

pytestmark = pytest.mark.skipif(module._GIVEN, reason="a server that is given makes a new one for every test")


@pytest.fixture
def databases(pymeter_server: str) -> Iterator[Databases]:
    """Others than the session's, so that the first database is a new one."""
    made = Databases(pymeter_server)
    yield made
    for copies in made._free.values():
        for copy in copies:
            made.drop(copy.name)
    made.close()


def is_lent_again(databases: Databases, template: str, work: Callable[[str], object]) -> bool:
    with databases.lent(template) as first:
        work(first)
    with databases.lent(template) as second:
        return second == first


def assert_as_new(databases: Databases, template: str, work: Callable[[Ledger], object]) -> None:
    with databases.lent(template) as first:
        before = everything(first)
        with psycopg.connect(first, autocommit=True) as connection:
            work(Ledger(connection))
    with databases.lent(template) as second:
        assert second == first
        assert everything(second) == before


def everything(dsn: str) -> str:
    """The schema, the rows, the rights, the sequences; and the sizes and counters, which are not dumped."""
    dump = subprocess.run([program("pg_dump"), dsn], check=True, capture_output=True, text=True).stdout
    lines = [line for line in dump.splitlines() if "restrict" not in line]  # it has a key, new in every dump
    with psycopg.connect(dsn) as connection:
        lines += map(str, connection.execute(_BESIDE).fetchall())
    return "\n".join(lines)


_BESIDE = """
SELECT c.oid::regclass, pg_relation_size(c.oid), CASE WHEN c.relkind = 'r' THEN (c.relpages, c.reltuples) END,
    s.n_tup_ins, s.n_tup_upd, s.n_tup_del, s.n_live_tup, s.n_dead_tup, s.analyze_count, s.vacuum_count
FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relnamespace = 'meter'::regnamespace AND c.relkind IN ('r', 'i', 'S') ORDER BY c.oid
"""


def test_a_database_that_was_in_use_is_as_new(databases: Databases, pymeter_template: str) -> None:
    def work(ledger: Ledger) -> None:
        define_each(ledger, striped=True)
        ledger.call("define_plan", plan="pro")
        ledger.call("subscribe", subject="a", plan="pro", since=JUNE)
        ledger.call("set_limit", subject="a", metric="sum", quota=10)
        for aggregate in AGGREGATES:
            for n in range(3):
                use(ledger, "a", aggregate, n, at("2026-06-18"), idempotency_key=f"key_{n}")
        close(ledger)

    assert_as_new(databases, pymeter_template, work)


def test_what_was_rolled_back_is_gone(databases: Databases, pymeter_template: str) -> None:
    """A row that was rolled back takes space, and the number that it had is not given again."""

    def work(ledger: Ledger) -> None:
        ledger.execute("BEGIN")
        ledger.define("tokens", "sum")
        ledger.record("a", "tokens", 1)
        ledger.execute("ROLLBACK")

    assert_as_new(databases, pymeter_template, work)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE other (id integer)",
        "CREATE SCHEMA other",
        "CREATE TEMPORARY TABLE other (id integer)",
        "CREATE FUNCTION other() RETURNS integer LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION meter._guard_log() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        "ALTER TABLE meter.events DISABLE TRIGGER events_are_append_only",
        "ALTER TABLE meter.metrics DROP CONSTRAINT metrics_pkey CASCADE",
        "GRANT SELECT ON meter.events TO pg_monitor",
        "GRANT CREATE ON DATABASE {} TO pg_monitor",
        "ALTER DATABASE {} SET timezone = 'Asia/Tokyo'",
        "ALTER DATABASE {} CONNECTION LIMIT 7",
        "ALTER SEQUENCE meter.event_ids INCREMENT 2",
        "COMMENT ON TABLE meter.events IS 'other'",
        "ANALYZE meter.metrics",
        "VACUUM meter.metrics",
        "UPDATE meter.installation SET version = version",
        "SELECT lo_create(0)",
        "SELECT pg_stat_reset()",
    ],
)
def test_a_database_with_any_other_trace_is_not_lent_again(
    databases: Databases, pymeter_template: str, statement: str
) -> None:
    def work(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.format(connection.info.dbname).encode())

    assert not is_lent_again(databases, pymeter_template, work)

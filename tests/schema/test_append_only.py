"""P7: nobody changes the log in place, not even its owner (who may drop it, as owners may)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]


@pytest.fixture
def log(db: Connection) -> Connection:
    """A log with one event in a partition of its month, and one in the default partition."""
    db.execute("select define_metric('tokens', 'sum', 'token')")
    db.execute("select record('acct_1', 'tokens', 1)")
    db.execute("select maintain()")
    db.execute("select record('acct_1', 'tokens', 2, at => '1999-12-31T00:00:00Z')")
    return db


@pytest.mark.parametrize("statement", ["update {} set quantity = 9", "delete from {}", "truncate {}"])
def test_the_log_and_each_of_its_partitions_refuse_changes(log: Connection, statement: str) -> None:
    holding = [p for p in _partitions(log) if log.execute(f"select 1 from {p} limit 1").fetchone()]
    assert len(holding) == 2
    for table in ["events", *holding]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            log.execute(statement.format(table))
        assert refused.value.diag.message_primary == "the log is append-only"
    assert log.execute("select count(*), sum(quantity) from events").fetchone() == (2, 3)


def test_empty_partitions_refuse_to_be_truncated_too(log: Connection) -> None:
    for partition in _partitions(log):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            log.execute(f"truncate {partition}")


def test_an_upsert_and_a_merge_are_changes(log: Connection) -> None:
    for statement in (
        "insert into events select * from events"
        " on conflict (subject, metric, at, event_id) do update set quantity = 9",
        "merge into events e using (select 1) s on true when matched then delete",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            log.execute(statement)


def _partitions(log: Connection) -> list[str]:
    query = "select inhrelid::regclass::text from pg_inherits where inhparent = 'events'::regclass"
    return [name for (name,) in log.execute(query)]

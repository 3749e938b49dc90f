"""What a subject consists of: no table is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def db(meter_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection."""
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        yield connection


def test_every_table_is_of_subjects_or_of_the_meter(db: psycopg.Connection[Any]) -> None:
    tables = {
        name
        for (name,) in db.execute(
            """
            SELECT c.relname FROM pg_class c
            WHERE c.relnamespace = 'meter'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND c.relname NOT LIKE '%yoyo%'
            """
        )
    }
    listed = [name for (name,) in db.execute("SELECT name FROM meter._moved_tables()")]
    listed += [name for (name,) in db.execute("SELECT name FROM meter._meter_tables()")]
    assert sorted(listed) == sorted(tables)


def test_a_table_with_the_text_of_subjects_is_of_subjects(db: psycopg.Connection[Any]) -> None:
    """Or the reason is known: what is told stays with the meter that tells it."""
    found = {
        name
        for (name,) in db.execute(
            """
            SELECT c.relname FROM pg_class c
            JOIN meter._meter_tables() t ON t.name = c.relname
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('subject', 'series_id', 'subject_id')
            WHERE c.relnamespace = 'meter'::regnamespace AND NOT c.relispartition
            """
        )
    }
    assert found == {"access_grants", "archived_rows", "deliveries", "erasures", "moves", "notifications"}


def test_numbers_that_a_meter_draws_for_itself_are_translated(db: psycopg.Connection[Any]) -> None:
    """Sequences of integer are not aligned to shards, so their numbers mean something else elsewhere."""
    local = {("series_id",), ("subject_id",)}
    rows = db.execute(
        """
        SELECT t.name, a.attname, split_part(t.numbered, ' ', 1) FROM meter._moved_tables() t
        JOIN pg_attribute a ON a.attrelid = ('meter.' || t.name)::regclass
        WHERE a.attname IN ('series_id', 'subject_id')
        """
    ).fetchall()
    assert rows
    assert [row for row in rows if (row[1],) in local and row[1] != row[2]] == []

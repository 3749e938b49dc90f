"""Everything in the schema says what it is: ``\\d+`` and ``\\df+`` are documentation."""

from __future__ import annotations

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

# yoyo's bookkeeping is yoyo's, and the columns of a partition are those of events.
_OURS = "relname !~ '^_?yoyo' and not relispartition"


def _names(db: Connection, query: str) -> list[str]:
    return [name for (name,) in db.execute(query)]


def test_every_function_has_a_comment(db: Connection) -> None:
    assert not _names(
        db,
        """
        select oid::regprocedure::text from pg_proc
        where pronamespace = 'meter'::regnamespace and obj_description(oid, 'pg_proc') is null
        """,
    )


def test_every_table_view_sequence_and_type_has_a_comment(db: Connection) -> None:
    assert not _names(
        db,
        f"""
        select relname from pg_class
        where relnamespace = 'meter'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') and {_OURS}
          and obj_description(oid, 'pg_class') is null
        union all
        select t.typname from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typnamespace = 'meter'::regnamespace and (c.relkind = 'c' or t.typtype in ('d', 'e', 'r'))
          and obj_description(t.oid, 'pg_type') is null
        """,
    )


def test_every_column_of_a_table_or_view_has_a_comment(db: Connection) -> None:
    assert not _names(
        db,
        f"""
        select relname || '.' || attname
        from pg_class c join pg_attribute a on attrelid = c.oid and attnum > 0 and not attisdropped
        where relnamespace = 'meter'::regnamespace and relkind in ('r', 'p', 'v', 'm') and {_OURS}
          and col_description(c.oid, attnum) is null
        """,
    )


def test_every_partition_has_a_comment_too(db: Connection) -> None:
    db.execute("select maintain()")
    assert not _names(
        db,
        """
        select c.relname from pg_class c join pg_inherits i on i.inhrelid = c.oid
        where i.inhparent = 'events'::regclass and obj_description(c.oid, 'pg_class') is null
        """,
    )


def test_comments_are_sentences(db: Connection) -> None:
    comments = _names(
        db,
        """
        select description from pg_description d
        where (d.classoid, d.objoid) in (
            select 'pg_proc'::regclass::oid, oid from pg_proc where pronamespace = 'meter'::regnamespace
            union all
            select 'pg_class'::regclass::oid, oid from pg_class where relnamespace = 'meter'::regnamespace
            union all
            select 'pg_type'::regclass::oid, oid from pg_type where typnamespace = 'meter'::regnamespace)
        """,
    )
    assert comments
    texts = [comment.partition(" Example: ")[0] for comment in comments]
    assert [text for text in texts if not text.endswith(".") or text != text.strip() or "  " in text] == []


def test_examples_are_statements_that_can_be_pasted(db: Connection) -> None:
    """The reference runs them and shows what they print."""
    examples = _names(
        db,
        """
        select split_part(obj_description(oid, 'pg_proc'), ' Example: ', 2) from pg_proc
        where pronamespace = 'meter'::regnamespace and obj_description(oid, 'pg_proc') like '% Example: %'
        """,
    )
    assert [e for e in examples if not e.startswith(("SELECT ", "BEGIN;")) or not e.endswith(";")] == []


def test_a_public_function_tells_the_sqlstates_that_its_own_body_raises(db: Connection) -> None:
    """The comment is all that a reader of ``\\df+`` has."""
    missing = db.execute(
        r"""
        select p.proname, code[1]
        from pg_proc p, regexp_matches(p.prosrc, '''([0-9]{2}[0-9A-Z]{3}|UM[0-9]{3})''', 'g') as code
        where p.pronamespace = 'meter'::regnamespace and p.proname !~ '^_'
          and obj_description(p.oid, 'pg_proc') !~ (code[1] || '|Raises as \w+\(\) does')
        """
    ).fetchall()
    assert missing == []

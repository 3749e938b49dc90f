"""Every PL/pgSQL body against the tables that it names: plpgsql_check, where a server has it.

Debian: apt-get install postgresql-15-plpgsql-check. It finds names, types and casts that plpgsql itself only
finds when a statement is reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.faults.servers import installed_servers, new_server

Connection = psycopg.Connection[Any]

# (function, sqlstate) -> why what it says is not so
_SIGNATURE = "what is executed is the signature of a function as the catalog has it, quoted"
EXEMPT = {
    ("_move_strays", "42P01"): "events_strays is a table while it runs",
    ("_move_strays", "00000"): "and so what becomes of `months` cannot be seen",
    ("_build_default_partition", "42P01"): "events_next is what it creates",
    ("_build_default_partition", "00000"): "and so what becomes of `months` cannot be seen",
    ("_lock_tables", "00000"): "names are quoted, and the mode is a constant of each caller",
    ("_apply_access", "00000"): _SIGNATURE,
    ("_close_new_objects", "00000"): _SIGNATURE,
    ("grant_access", "00000"): _SIGNATURE,
    ("revoke_access", "00000"): _SIGNATURE,
}
# To any: a text is assigned to something else. It is an empty array, or what a pattern has found a number.
EXEMPT_ANYWHERE = ("warning", "42804")


@pytest.fixture(scope="module")
def db() -> Iterator[Connection]:
    """A fresh installation on a server that has the extension."""
    for programs in installed_servers().values():
        if not list(programs.parent.glob("lib/plpgsql_check.so")):
            continue
        with new_server(programs, {"fsync": "off"}) as server:
            migrate(server.dsn)
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION plpgsql_check")
                yield connection
            return
    pytest.skip("no server has plpgsql_check (Debian: postgresql-15-plpgsql-check)")


def problems(db: Connection) -> list[Any]:
    """(function, line, level, SQLSTATE, message) of everything it has to say, style and speed included."""
    return db.execute(
        """
        SELECT p.proname, c.lineno, c.level, c.sqlstate, c.message, c.detail
        FROM pg_proc p
        JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
        LEFT JOIN LATERAL (
            SELECT t.tgrelid FROM pg_trigger t WHERE t.tgfoid = p.oid AND NOT t.tgisinternal LIMIT 1
        ) t ON true
        CROSS JOIN LATERAL plpgsql_check_function_tb(
            p.oid::regprocedure, coalesce(t.tgrelid, 0)::regclass, fatal_errors => false,
            extra_warnings => true, performance_warnings => false, security_warnings => true) c
        WHERE p.pronamespace = 'meter'::regnamespace
        ORDER BY 1, 2
        """
    ).fetchall()


@pytest.mark.slow
def test_plpgsql_check_has_nothing_to_say_that_has_no_answer_here(db: Connection) -> None:
    found = [p for p in problems(db) if (p[2], p[3]) != EXEMPT_ANYWHERE]
    assert [p for p in found if (p[0], p[3]) not in EXEMPT] == []
    assert EXEMPT.keys() <= {(p[0], p[3]) for p in found}, "an exemption is not needed any more"


@pytest.mark.slow
def test_plpgsql_check_sees_what_a_body_has_wrong(db: Connection) -> None:
    with db.transaction(force_rollback=True):
        db.execute(
            "CREATE FUNCTION meter._bad() RETURNS bigint LANGUAGE plpgsql AS"
            " $$ DECLARE unused int; BEGIN RETURN (SELECT no_such_column FROM meter.metrics); END $$"
        )
        found = {(p[0], p[3]) for p in problems(db)}
    assert {("_bad", "42703"), ("_bad", "00000")} <= found

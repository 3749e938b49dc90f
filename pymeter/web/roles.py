"""The roles of the server: one that logs in and may only authenticate, and one for each level of keys."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

LEVELS = ("read", "write", "report", "admin", "approve", "own")
LOGIN = "pymeter_web"


def statements(schema: str, login: str = LOGIN) -> list[sql.Composed]:
    """SQL that creates and grants the roles, for the owner of the meter with the right to create roles."""
    quoted = sql.Identifier(login)
    grant = sql.SQL("SELECT {}.grant_access({}, {})")
    meter = sql.Identifier(schema)
    found = [
        sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(quoted),
        grant.format(meter, sql.Literal(login), sql.Literal("login")),
    ]
    for level in LEVELS:
        role = f"{login}_{level}"
        found += [
            sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)),
            grant.format(meter, sql.Literal(role), sql.Literal(level)),
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), quoted),
        ]
    return found


def script(schema: str, login: str = LOGIN) -> str:
    """The same as a script for psql."""
    lines = [f"{statement.as_string(None)};" for statement in statements(schema, login)]
    head = (
        "-- Run this as the owner of the meter, with the right to create roles.",
        "-- Leave out the levels that no key needs: whoever controls the server has them all.",
        f'-- Then set a password: \\password "{login}"',
    )
    return "\n".join([*head, *lines])


def create(connection: psycopg.Connection[Any], schema: str, login: str = LOGIN) -> None:
    """Create and grant what is missing."""
    for statement in statements(schema, login):
        with suppress(psycopg.errors.DuplicateObject), connection.transaction():
            connection.execute(statement)


def problem_of(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """Why the role that has logged in is not the one of a server; None if it is."""
    row = connection.execute(
        "SELECT s.rolsuper, pg_has_role(session_user, p.proowner, 'member'),"
        " has_function_privilege(session_user, p.oid, 'execute')"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " JOIN pg_roles s ON s.rolname = session_user"
        " WHERE p.proname = 'authenticate' AND n.nspname = %s",
        [schema],
    ).fetchone()
    if row is None:
        return f"the schema {schema} holds no meter with keys"
    if row[0] or row[1]:
        return "the role of the DSN is a superuser or owns the meter"
    return None if row[2] else "the role of the DSN lacks the level login"

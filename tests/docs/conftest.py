"""The roles that pages and the reference grant to."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.docs.examples import ROLES


@pytest.fixture
def roles(pymeter_server: str) -> Iterator[None]:
    """Those that the pages grant to. Set up before the database, so that they are dropped after it."""
    with psycopg.connect(pymeter_server, autocommit=True) as admin:
        there = {name for (name,) in admin.execute("select rolname from pg_roles")}
        created = [role for role in ROLES if role not in there]
        for role in created:
            admin.execute(f"create role {role}".encode())
        yield
        for role in created:
            admin.execute(f"drop role {role}".encode())

"""Roles of the test's own, which log in and try."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.helpers import Ledger, ledger, new_ledger

__all__ = ["Roles", "ledger", "new_ledger", "roles"]

_numbers = count(1)
PASSWORD = "not a secret"


class Roles:
    """Creates roles, logs in as them, and drops them with all they have at the end."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.admin = psycopg.connect(dsn, autocommit=True)
        self._opened = [self.admin]
        self._names: list[str] = []

    def new(self, *levels: str, subjects: tuple[str, ...] = (), options: str = "LOGIN") -> str:
        """The name of a new role with these levels, or bound to these subjects."""
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"Pymeter test {os.getpid()} {worker} {next(_numbers)}"
        self.admin.execute(
            sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(
                sql.Identifier(name),
                sql.SQL(options),  # type: ignore[arg-type]
                PASSWORD,
            )
        )
        self._names.append(name)
        for level in levels:
            self.admin.execute("SELECT meter.grant_access(%s, %s)", [name, level])
        for subject in subjects:
            self.admin.execute("SELECT meter.grant_access(%s, 'read', %s)", [name, subject])
        return name

    def forget(self, name: str) -> None:
        """Drop it now."""
        self._names.remove(name)
        self.admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        self.admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))

    def login(self, name: str, dsn: str | None = None, **options: Any) -> Ledger:
        """A session of the role."""
        connection = psycopg.connect(
            dsn or self.dsn, autocommit=True, user=name, password=PASSWORD, **options
        )
        self._opened.append(connection)
        return Ledger(connection)

    def as_(self, *levels: str, subjects: tuple[str, ...] = ()) -> Ledger:
        """A session of a new role."""
        return self.login(self.new(*levels, subjects=subjects))

    def sql(self, statement: str, *names: str) -> None:
        """Run it as the owner, with {} for each role."""
        self.admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]

    def close(self) -> None:
        for connection in self._opened[1:]:
            connection.close()
        for name in reversed(self._names[:]):
            self.forget(name)
        self.admin.close()


@pytest.fixture
def roles(meter_dsn: str) -> Iterator[Roles]:
    """``roles.as_("read")``: a session of a new role that was granted that level."""
    made = Roles(meter_dsn)
    yield made
    made.close()


@pytest.fixture
def metered(ledger: Ledger) -> Ledger:
    """Two customers, with usage."""
    ledger.define("tokens", "sum", "token")
    for subject, quantity in (("acct_1", 5), ("acct_2", 70)):
        ledger.record(subject, "tokens", quantity, idempotency_key="k", metadata={"model": "large"})
    return ledger

"""A server of the HTTP API: a login role that may take one role for each level."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.access.conftest import Roles, metered, roles
from tests.helpers import Ledger, ledger, new_ledger

__all__ = ["Server", "ledger", "metered", "new_ledger", "roles", "server"]

LEVELS = ("read", "write", "report", "admin", "approve", "own")


def credential(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def token(key: str, subject: str, valid_for: float = 60, key_id: int | None = None) -> str:
    """A signed token, made as the page says, without pymeter."""
    number = key_id if key_id is not None else key.split("_")[2]
    text = f"{number}.{int(time.time() + valid_for)}.{subject.encode().hex()}"
    secret = hashlib.sha256(credential(key).encode()).hexdigest()
    return f"{text}.{hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


class Server:
    """A session that does what the HTTP server does for each request."""

    def __init__(self, roles: Roles) -> None:
        self.role = roles.new("login", options="LOGIN NOINHERIT")
        self.of_level = {level: roles.new(level, options="NOLOGIN") for level in LEVELS}
        for role in self.of_level.values():
            roles.sql("GRANT {} TO {}", role, self.role)
        self.session = roles.login(self.role)

    @contextmanager
    def request(self, credential: str) -> Iterator[Ledger]:
        """The block runs in the role of the credential's holder."""
        with self.session.connection.transaction():
            role = self.session.value("SELECT role FROM meter.authenticate(%s)", [credential])
            self.session.execute("SELECT set_config('role', %s, true)", [role])
            yield self.session

    def may(self, credential: str, statement: str) -> bool:
        """Whether the holder may make the call; it is undone."""
        try:
            with self.request(credential) as session:
                session.rows(statement)
                raise psycopg.Rollback
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True


@pytest.fixture
def server(metered: Ledger, roles: Roles) -> Server:
    return Server(roles)


def new_key(ledger: Ledger, level: str, **named: Any) -> str:
    return str(ledger.call("create_api_key", level=level, **named)[0].key)

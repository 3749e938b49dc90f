"""``pymeter web`` as a process of its own, with roles and a key: for tests, benchmarks and the long run."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pymeter.web import roles

_START_SECONDS_MAX = 60
_numbers = count(1)


@dataclass(frozen=True)
class Served:
    """A server that answers, and a key of level write."""

    port: int
    key: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss(self) -> int:
        """The memory that the process has now, in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak(self) -> int:
        """The most memory that it has had so far, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise LookupError("VmHWM")


@contextmanager
def login(dsn: str, schema: str = "meter") -> Iterator[str]:
    """The DSN of a login role that can take a role of every level; all of them are dropped at the end."""
    name, password = f"pymeter_web_{os.getpid()}_{next(_numbers)}", secrets.token_hex(16)
    with psycopg.connect(dsn, autocommit=True) as owner:
        roles.create(owner, schema, name)
        owner.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
        )
    try:
        yield make_conninfo(dsn, user=name, password=password)
    finally:
        with suppress(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as owner:
            for role in (*(f"{name}_{level}" for level in roles.LEVELS), name):
                owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def new_key(dsn: str, level: str = "write", schema: str = "meter") -> str:
    """A key, made by the owner."""
    query = sql.SQL("SELECT key FROM {}.create_api_key(%s)").format(sql.Identifier(schema))
    with psycopg.connect(dsn, autocommit=True) as owner:
        row: Any = owner.execute(query, [level]).fetchone()
    return str(row[0])


@contextmanager
def serving(login_dsn: str, key: str, log: Path, *options: str) -> Iterator[Served]:
    """The server; it is killed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    # A password in the command line could be read by other users of the machine.
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pymeter", "web", "--port", str(port), *options],
            env=os.environ | {"PYMETER_DSN": login_dsn},
            stdout=file,
            stderr=file,
        )
    try:
        _wait_for(port, process, log)
        yield Served(port, key, process, log)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while True:
        assert process.poll() is None, log.read_text()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)

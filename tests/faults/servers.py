"""Servers that a test may kill: durable, private, of any PostgreSQL whose programs are at hand.

The wheel's PostgreSQL is used unless other programs are named. ``installed_servers()`` finds Debian's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from pymeter import embedded

# What makes a commit durable is on. Deadlocks are found at once, and the log tells the SQLSTATE of an error.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "deadlock_timeout": "20ms",
    "log_line_prefix": "'[%p %a %d] '",
    "log_error_verbosity": "verbose",
    "lc_messages": "C",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "unix_socket_permissions": "0700",
}
_PREFIX = embedded._LEFTOVER_PREFIX
_GONE_SECONDS_MAX = 30
_RECOVERY_SECONDS_MAX = 180
_DEBIAN = Path("/usr/lib/postgresql")
_numbers = count(1)


class _Account(embedded._Account):
    """The account of the server, with programs that need not be the wheel's."""

    def __init__(self, programs: Path | None) -> None:
        super().__init__()
        self.programs = programs

    def reachable_programs(self) -> Path:
        return self.programs or super().reachable_programs()


class Server(embedded._Server):
    """One durable server below ``home``; it can be killed and started again."""

    def __init__(
        self,
        home: Path,
        programs: Path | None = None,
        settings: Mapping[str, str] | None = None,
        *initdb: str,
    ) -> None:
        super().__init__(home / "data", SETTINGS | dict(settings or {}))
        self.account = _Account(programs)
        self.initdb = initdb

    @property
    def log(self) -> str:
        path = self.data_dir / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def log_size(self) -> int:
        return (self.data_dir / "server.log").stat().st_size

    def read_log(self, offset: int) -> str:
        with (self.data_dir / "server.log").open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")

    def program(self, name: str) -> Path:
        return self.account.reachable_programs() / name

    def _create(self) -> None:
        """initdb in words that PostgreSQL 15 knows too."""
        self.data_dir.mkdir(mode=0o700)
        self.account.own(self.data_dir)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self.data_dir), *options, *self.initdb)
        with (self.data_dir / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {_quoted(value)}\n" for name, value in self.settings.items())

    def create(self) -> None:
        """Create it, and leave it alone."""
        self._create()

    # ------------------------------------------------------------------------------------ faults

    def postmaster(self) -> int:
        return int((self.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])

    def processes(self) -> list[int]:
        """The postmaster and its children, from Linux's list of processes."""
        postmaster = self.postmaster()
        return [postmaster, *(pid for pid, parent in _parents().items() if parent == postmaster)]

    def kill(self, *, everything: bool = False) -> None:
        """kill -9 of the postmaster, or of all of its processes at once; returns when all of them are gone.

        Without a postmaster the others end by themselves, some of them only after what they are doing.
        """
        pids = self.processes()
        for pid in pids if everything else pids[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _GONE_SECONDS_MAX
        while any(_runs(pid) for pid in pids):
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of the killed server are still there: {pids}")
            time.sleep(0.01)

    def bring_back(self) -> None:
        """Wait until it answers. A postmaster that is there recovers by itself; else one is started."""
        deadline = time.monotonic() + _RECOVERY_SECONDS_MAX
        while not self.answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server does not recover:\n{self.log[-2000:]}")
            with suppress(OSError, ValueError):
                if _runs(self.postmaster()):
                    time.sleep(0.05)
                    continue
            self.ensure_running()

    def start_without_waiting(self) -> None:
        log = self.data_dir / "server.log"
        options = f"-h '' -k '{self.socket_dir}' -p {self.port}"
        self._pg_ctl("start", "-W", "-l", str(log), "-o", options)


@contextmanager
def new_server(
    programs: Path | None = None,
    settings: Mapping[str, str] | None = None,
    *initdb: str,
    directory: Path | None = None,
    start: bool = True,
) -> Iterator[Server]:
    """A new durable server, deleted when the block ends. ``directory``: where; default: memory if it can."""
    if sys.platform != "linux":
        raise NotImplementedError("servers are killed on Linux only")
    base = directory or embedded._temporary_base()
    embedded._remove_leftovers(base)
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
    home.chmod(0o711)
    server = Server(home, programs, settings, *initdb)
    server.account.own(home)
    try:
        if start:
            server.ensure_running()
        yield server
    finally:
        with suppress(OSError, ValueError):
            os.kill(server.postmaster(), signal.SIGCONT)
        server.stop(mode="immediate")
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def new_database(dsn: str, name: str | None = None, *, template: str | None = None) -> Iterator[str]:
    """The DSN of a new database on the server of ``dsn``; it is dropped at the end."""
    name = name or f"pymeter_faults_{os.getpid()}_{next(_numbers)}"
    execute(dsn, create_database(name, template))
    try:
        yield with_database(dsn, name)
    finally:
        with suppress(psycopg.OperationalError):  # the server may be gone
            execute(dsn, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def create_database(name: str, template: str | None = None) -> sql.Composed:
    """A copy of a template's files is faster than one by way of the WAL, where nothing waits for a disk."""
    query = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is None:
        return query
    return query + sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))


def execute(dsn: str, statement: sql.Composed | sql.SQL) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def with_database(dsn: str, name: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


def installed_servers() -> dict[int, Path]:
    """Major version -> directory of programs, of the servers that Debian's packages installed."""
    found = {int(path.parent.name): path for path in _DEBIAN.glob("*/bin") if path.parent.name.isdigit()}
    return {version: path for version, path in sorted(found.items()) if (path / "initdb").exists()}


def programs_of(dsn: str) -> Path | None:
    """A directory with programs of the version of ``dsn``'s server: the wheel's, or Debian's."""
    with psycopg.connect(dsn) as connection:
        major = connection.info.server_version // 10000
    wheel = embedded._programs()
    if int(version_of(wheel).split(".")[0]) == major:
        return wheel
    return installed_servers().get(major)


def version_of(programs: Path) -> str:
    done = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"\) ([0-9.]+)", done.stdout)
    assert match, done.stdout
    return match[1]


def why_no_restore(programs: Path, source: str, target: str) -> str | None:
    """Why a dump of ``source`` by these programs cannot be restored on ``target``; None: it can.

    Releases of different age do not always fit, whatever their major versions: a later minor release may
    write what an earlier one refuses. It is tried with one empty table.
    """
    with new_database(source) as old, new_database(target) as new:
        with psycopg.connect(old, autocommit=True) as connection:
            connection.execute("CREATE TABLE probe (x integer)")
        dumped = subprocess.run([programs / "pg_dump", old], capture_output=True, text=True, check=False)
        if dumped.returncode != 0:
            return dumped.stderr.strip()
        restored = subprocess.run(
            [programs / "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", new],
            input=dumped.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    return None if restored.returncode == 0 else restored.stderr.strip()


def _quoted(value: str) -> str:
    return value if value.startswith("'") else f"'{value}'"


def _parents() -> dict[int, int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; the parent is the second field behind it.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents


def _runs(pid: int) -> bool:
    """Whether the process is there and is not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False

"""A disk that is full at the push of a button: a small file system in memory, which takes root to mount."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql

from pymeter.migrate import migrate
from tests.faults.crashes import Round, connect, wait_until_alone
from tests.faults.load import Figures, Journal, compare, define
from tests.faults.servers import Server, new_database, new_server

DISK_FULL = "53100"
_FULL_SECONDS_MAX = 60
# Room for a server whose WAL comes in pieces of a megabyte.
_SMALL_WAL = {"max_wal_size": "8MB", "min_wal_size": "2MB", "wal_keep_size": "0", "shared_buffers": "16MB"}


class NoDisk(RuntimeError):
    """This account may not mount a file system."""


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """The path of a new file system of that size. Raises ``NoDisk`` for whoever may not mount one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoDisk("a file system in memory is mounted by root, on Linux")
    path = Path(tempfile.mkdtemp(prefix="pymeter-disk-"))
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(path)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            raise NoDisk(done.stderr.strip())
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", str(path)], check=True)
    finally:
        path.rmdir()


class Ballast:
    """A file that leaves no room for anything else."""

    def __init__(self, disk: Path) -> None:
        self.path = disk / "ballast"

    def fill(self) -> None:
        with self.path.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 14))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def fill_tablespace(server: Server, files: Path, *, times: int = 2) -> Figures:
    """Writers record into a tablespace that runs full, so many times, and has room again."""
    with small_disk(40) as disk:
        room = disk / "tablespace"
        room.mkdir(mode=0o700)
        server.account.own(room)
        name = f"small_{os.getpid()}"
        with connect(server.dsn, "operator") as admin:
            admin.execute(f"CREATE TABLESPACE {name} LOCATION '{room}'".encode())
            try:
                with new_database(server.dsn) as dsn:
                    database = sql.Identifier(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
                    admin.execute(
                        sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(database, sql.Identifier(name))
                    )
                    migrate(dsn)
                    return _fill(server, dsn, files, Ballast(disk), times, _refusals)
            finally:
                admin.execute(f"DROP TABLESPACE {name}".encode())


def fill_wal(files: Path, programs: Path | None = None, *, times: int = 1) -> Figures:
    """The server's own disk runs full, and it goes down; with room again it is started again."""
    with small_disk(130) as disk:
        disk.chmod(0o711)
        with new_server(programs, _SMALL_WAL, "--wal-segsize=1", directory=disk) as server:
            migrate(server.dsn)
            return _fill(server, server.dsn, files, Ballast(disk), times, _crashes)


def _fill(
    server: Server,
    dsn: str,
    files: Path,
    ballast: Ballast,
    times: int,
    met: Callable[[Journal], int],
) -> Figures:
    with connect(dsn, "test") as connection:
        define(connection)
    journal = Journal()
    current = Round(server, dsn, journal, "full", files, tolerated=[DISK_FULL])
    with current.running():
        for _ in range(times):
            time.sleep(0.5)
            before = met(journal)
            deadline = time.monotonic() + _FULL_SECONDS_MAX
            while met(journal) < before + 3:
                assert time.monotonic() < deadline, "nobody met the full disk"
                ballast.fill()
                time.sleep(0.01)
            ballast.remove()
            server.bring_back()
        time.sleep(0.5)
    with connect(dsn, "judge") as connection:
        wait_until_alone(connection)
        figures = compare(connection, journal)
    figures.rounds = times
    figures.faults["full disk"] = times
    return figures


def _refusals(journal: Journal) -> int:
    return journal.interruptions[DISK_FULL]


def _crashes(journal: Journal) -> int:
    """The server's log is on the same disk, so that it went down is known by what its clients saw."""
    return journal.interruptions["57P02"] + journal.interruptions["connection lost"]

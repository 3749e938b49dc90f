"""A server that can be replaced by an older state of itself: a base backup, or a standby that lags."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from tests.faults.servers import Server, new_server

_SECONDS_MAX = 60


class Cluster:
    """The server in use, and what may take its place."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self._home = home
        self._number = 0
        self._spare: Server | None = None
        self._lagging = False

    @property
    def dsn(self) -> str:
        return self.server.dsn

    def prepare(self, fault: str) -> None:
        """Take a base backup; for a failover, start it as a standby that follows."""
        self._number += 1
        home = self._home / str(self._number)
        home.mkdir(mode=0o711)
        self.server.account.own(home)
        spare = Server(home, self.server.account.programs)
        options = ["-h", str(self.server.socket_dir), "-p", str(self.server.port), "-U", "postgres"]
        self.server._run("pg_basebackup", "-D", str(spare.data_dir), "-X", "stream", "-c", "fast", *options)
        for left in (spare.data_dir / "server.log", *spare.data_dir.glob(".s.PGSQL*")):
            left.unlink(missing_ok=True)
        self._spare, self._lagging = spare, fault == "restore"
        if fault == "failover":
            where = f"host={self.server.socket_dir} port={self.server.port} user=postgres"
            _configure(spare, f"primary_conninfo = '{where}'")
            (spare.data_dir / "standby.signal").touch()
            spare.account.own(spare.data_dir / "standby.signal")
            spare.ensure_running()

    def lag(self) -> None:
        """From the first call on, the standby hears of nothing more."""
        if self._spare is not None and not self._lagging:
            self._lagging = True
            self._spare.stop()

    def lose(self, fault: str) -> str:
        """The server is gone; returns the DSN of what takes its place."""
        spare = self._spare
        assert spare is not None
        self.lag()
        self.server.kill(everything=True)
        shutil.rmtree(self.server.data_dir, ignore_errors=True)
        signal_file = spare.data_dir / ("recovery.signal" if fault == "restore" else "standby.signal")
        # There is no archive: recovery ends with what the backup holds.
        _configure(spare, "primary_conninfo = ''", "restore_command = 'false'")
        signal_file.touch()
        spare.account.own(signal_file)
        spare.ensure_running()
        self.server, self._spare = spare, None
        self._promote(wait_only=fault == "restore")
        return self.dsn

    def _promote(self, *, wait_only: bool) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            if not wait_only:
                connection.execute("SELECT pg_promote()")
            deadline = time.monotonic() + _SECONDS_MAX
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def close(self) -> None:
        for server in (self.server, self._spare):
            if server is not None:
                server.stop(mode="immediate")


def _configure(server: Server, *lines: str) -> None:
    with (server.data_dir / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@contextmanager
def new_cluster(programs: Path | None = None) -> Iterator[Cluster]:
    with ExitStack() as stack:
        server = stack.enter_context(new_server(programs, directory=Path(tempfile.gettempdir())))
        # Beside the first server's data: removed with it.
        home = server.data_dir.parent / "spares"
        home.mkdir(mode=0o711)
        server.account.own(home)
        cluster = Cluster(server, home)
        stack.callback(cluster.close)
        yield cluster

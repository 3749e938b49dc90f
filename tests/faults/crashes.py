"""Rounds of: eight writers record, something is killed, the server comes back, everything is compared."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.faults.load import INTERRUPTED, Figures, Journal, Writer, compare
from tests.faults.servers import Server

WRITERS = 8
_ROOT = Path(__file__).parents[2]
# Beside the writers, what an operator does; each may be hit in the middle.
_CHORES = ("SELECT meter.maintain()", "SELECT meter.rebuild()", "CHECKPOINT", "VACUUM meter.series")
_CHORES_MAY_FAIL = (*INTERRUPTED, "55P03", "40001")


class Round:
    """One round on a server: who writes, and what can be done to them."""

    def __init__(
        self,
        server: Server,
        dsn: str,
        journal: Journal,
        name: str,
        files: Path,
        tolerated: Sequence[str] = (),
    ) -> None:
        self.server = server
        self.dsn = dsn
        self.journal = journal
        self.random = random.Random(name)
        self.stopped = threading.Event()
        self.faults: list[str] = []
        self.files = files
        self.writers = [
            Writer(f"{name}-{n}", lambda n=n: connect(dsn, f"writer_{n}"), journal, tolerated=tolerated)
            for n in range(WRITERS)
        ]
        self.tolerated = (*_CHORES_MAY_FAIL, *tolerated)
        self._name = name
        self._clients: list[tuple[subprocess.Popen[bytes], Path]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=w.run, args=(self.stopped,), daemon=True) for w in self.writers]
        threads.append(threading.Thread(target=self._do_chores, daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join(300)
            stuck = [t.name for t in threads if t.is_alive()]
            self._end_clients()
            assert not stuck, f"writers that never ended: {stuck}"

    # ------------------------------------------------------------------------------------ faults

    def postmaster(self) -> None:
        """kill -9 of the postmaster alone."""
        self.server.kill()
        self.server.bring_back()

    def everything(self) -> None:
        """kill -9 of all of the server's processes at one moment."""
        self.server.kill(everything=True)
        self.server.bring_back()

    def twice(self) -> None:
        """A second kill while the server recovers from the first."""
        self.server.kill(everything=True)
        self.server.start_without_waiting()
        time.sleep(self.random.uniform(0, 0.3))
        with suppress(OSError, ValueError):
            self.server.kill(everything=True)
        self.server.bring_back()

    def backend(self) -> None:
        """kill -9 of one writer's backend: the server ends all others and recovers."""
        if pid := self._some_backend():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
            self.server.bring_back()

    def terminate(self) -> None:
        """pg_terminate_backend() of some writers, one after the other."""
        self._signal("pg_terminate_backend")

    def cancel(self) -> None:
        """pg_cancel_backend() of some writers."""
        self._signal("pg_cancel_backend")

    def client(self) -> None:
        """kill -9 of processes that record."""
        for n in range(2):
            file = self.files / f"{self._name}-{len(self._clients)}-{n}"
            command = [sys.executable, "-m", "tests.faults.client", self.dsn, file.name, str(file)]
            self._clients.append((subprocess.Popen(command, cwd=_ROOT), file))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not all(f.exists() for _, f in self._clients[-2:]):
            time.sleep(0.01)
        time.sleep(self.random.uniform(0.05, 0.4))
        for process, _ in self._clients[-2:]:
            process.kill()

    # ----------------------------------------------------------------------------------- helpers

    def _some_backend(self) -> int | None:
        pids = [pid for writer in self.writers if (pid := writer.backend())]
        return self.random.choice(pids) if pids else None

    def _signal(self, function: str) -> None:
        with suppress(psycopg.OperationalError), connect(self.dsn, "operator") as connection:
            for _ in range(10):
                connection.execute(f"SELECT {function}(%s)", [self._some_backend()])
                time.sleep(self.random.uniform(0, 0.02))

    def _do_chores(self) -> None:
        while not self.stopped.is_set():
            try:
                with connect(self.dsn, "operator") as connection:
                    while not self.stopped.wait(self.random.uniform(0, 0.2)):
                        with suppress(*(psycopg.errors.lookup(state) for state in ("55P03", "40001"))):
                            connection.execute(self.random.choice(_CHORES).encode())
            except psycopg.Error as error:
                if error.sqlstate is not None and error.sqlstate not in self.tolerated:
                    self.journal.note_unexpected(error)
                time.sleep(0.02)

    def _end_clients(self) -> None:
        for process, file in self._clients:
            process.kill()
            process.wait()
            self.journal.read(file)


KINDS: dict[str, Callable[[Round], None]] = {
    "postmaster": Round.postmaster,
    "everything": Round.everything,
    "twice": Round.twice,
    "backend": Round.backend,
    "terminate": Round.terminate,
    "cancel": Round.cancel,
    "client": Round.client,
}


def run_round(
    server: Server, dsn: str, journal: Journal, name: str, kinds: list[str], files: Path, seconds: float
) -> Figures:
    """Writers record for about so many seconds while faults of these kinds happen, in this order."""
    current = Round(server, dsn, journal, name, files)
    pause = seconds / (len(kinds) + 1)
    with current.running():
        for kind in kinds:
            time.sleep(current.random.uniform(0.3, 1.7) * pause)
            KINDS[kind](current)
        time.sleep(pause)
    with connect(dsn, "judge") as connection:
        wait_until_alone(connection)
        figures = compare(connection, journal)
    figures.rounds = 1
    figures.faults.update(kinds)
    return figures


def connect(dsn: str, name: str) -> psycopg.Connection[object]:
    """Autocommit, and no prepared statements: it may lead through a pooler of transactions."""
    return psycopg.connect(dsn, autocommit=True, application_name=name, prepare_threshold=None)


def wait_until_alone(connection: psycopg.Connection[object]) -> None:
    """Backends of killed clients end a moment later; until then, what they did may still be committed."""
    deadline = time.monotonic() + 30
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while (row := connection.execute(query).fetchone()) and row != (0,):
        assert time.monotonic() < deadline, "somebody is still connected"
        time.sleep(0.01)

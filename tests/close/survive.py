"""What was answered as of watermarks, after all that a server goes through; it ends with another server."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.close.remember import Remembered, set_watermarks_ahead
from tests.close.watermark_load import METRICS, assert_all_still_so
from tests.faults.servers import Server, new_database, new_server, with_database
from tests.helpers import Ledger

HOUR = timedelta(hours=1)
_SETTINGS = {"max_prepared_transactions": "20", "archive_mode": "on", "wal_level": "replica"}


class Archived:
    """A server whose WAL is archived, and a base backup from its first moment."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.archive, backup = home / "archive", home / "backup"
        for path in (home, self.archive, backup):
            path.mkdir(mode=0o711, exist_ok=True)
            server.account.own(path)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {self.archive}/%f'".encode())
            connection.execute("SELECT pg_reload_conf()")
        self.spare = Server(backup, server.account.programs)
        options = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", "postgres"]
        server._run("pg_basebackup", "-D", str(self.spare.data_dir), "-X", "none", "-c", "fast", *options)
        for left in (self.spare.data_dir / "server.log", *self.spare.data_dir.glob(".s.PGSQL*")):
            left.unlink(missing_ok=True)

    def fail_over(self) -> Server:
        """The archive is all that is left of it."""
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
        self.server.stop()  # which archives the last of it
        with (self.spare.data_dir / "postgresql.auto.conf").open("a") as file:
            file.write(f"archive_mode = 'off'\nrestore_command = 'cp {self.archive}/%f %p'\n")
        signal = self.spare.data_dir / "recovery.signal"
        signal.touch()
        self.spare.account.own(signal)
        self.spare.ensure_running()
        with psycopg.connect(self.spare.dsn, autocommit=True) as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                time.sleep(0.05)
        return self.spare


@contextmanager
def archived_server(programs: Path | None, directory: Path | None = None) -> Iterator[Archived]:
    with new_server(programs, settings=_SETTINGS, directory=directory) as server:
        archived = Archived(server, server.data_dir.parent / "archived")
        try:
            yield archived
        finally:
            archived.spare.stop(mode="immediate")


def survive(
    archived: Archived,
    dsn: str,
    remembered: Sequence[Remembered],
    say: Callable[[str], None],
    *,
    sample: int | None = None,
) -> None:
    """``sample``: how many answers are asked again after each step but the last."""
    some = random.Random(0).sample(list(remembered), min(sample or len(remembered), len(remembered)))
    with psycopg.connect(dsn, autocommit=True) as connection:
        ledger = Ledger(connection)
        ledger.rebuild()
        ledger.upkeep()
        assert ledger.verify() == []
    assert_all_still_so(dsn, some)
    say("the same after rebuild() and maintain()")
    archived.server.kill(everything=True)
    archived.server.bring_back()
    assert_all_still_so(dsn, some)
    say("the same after kill -9")
    with new_database(archived.server.dsn) as restored:
        dumped = archived.server.data_dir.parent / "dump"
        pg_dump = [archived.server.program("pg_dump"), "-Fc", "--schema=meter", f"--file={dumped}", dsn]
        subprocess.run(pg_dump, check=True, capture_output=True)
        pg_restore = [archived.server.program("pg_restore"), "--exit-on-error", "-d", restored, dumped]
        subprocess.run(pg_restore, check=True, capture_output=True)
        assert_all_still_so(restored, some)
        record_beyond(restored)
        assert_all_still_so(restored, some)
    say("the same in a dump that was restored")
    with psycopg.connect(dsn, autocommit=True) as connection:
        set_watermarks_ahead(Ledger(connection), HOUR)
    behind = with_database(archived.fail_over().dsn, urlsplit(dsn).path.removeprefix("/"))
    assert_all_still_so(behind, some)
    record_beyond(behind)
    assert_all_still_so(behind, list(remembered))
    say("the same after a failover to a server whose clock is an hour behind")


def record_beyond(dsn: str) -> None:
    """Of every subject and metric, one by one and in batches: later than the watermark; so is the next."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        ledger = Ledger(connection)
        rows = ledger.rows(
            "SELECT subject, watermark FROM meter.sealed_subjects WHERE watermark > '-infinity'"
        )
        assert rows
        for row in rows:
            known = {event.event_id for event in ledger.call("events", subject=row.subject, max_rows=10_000)}
            for metric in (*METRICS, "hot", "hot_max", "limited"):
                given = {"member": "z"} if metric == "unique" else {"quantity": 1}
                ledger.record(row.subject, metric, **given)
                ledger.batch([{"subject": row.subject, "metric": metric, **given}] * 2)
            ledger.call("adjust", subject=row.subject, metric="sum", quantity=-1, reason="goodwill")
            events = ledger.call("events", subject=row.subject, max_rows=100)
            new = [event.recorded_at for event in events if event.event_id not in known]
            assert len(new) >= 31 or len(known) == 10_000
            assert min(new) > row.watermark
            drawn = ledger.value("SELECT meter.watermark(%s)", [row.subject])
            assert drawn >= max(new)

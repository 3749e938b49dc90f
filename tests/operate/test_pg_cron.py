"""maintain() under pg_cron, where Debian's PostgreSQL 15 and its package are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pymeter.migrate import migrate

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path("/usr/lib/postgresql/15/bin")
SECONDS_MAX = 30

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PROGRAMS.parent / "lib/pg_cron.so").exists(), reason="apt-get install postgresql-15-cron"
    ),
]


class Server:
    """A server with pg_cron, in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dsn = f"postgresql://postgres@/postgres?host={home}"
        self._run("initdb", "-D", str(home / "data"), "-U", "postgres", "-A", "trust", "--no-sync")
        settings = {
            "shared_preload_libraries": "pg_cron",
            "cron.host": str(home),
            "unix_socket_directories": str(home),
            "listen_addresses": "",
            "fsync": "off",
        }
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        with (home / "data/postgresql.auto.conf").open("a") as file:
            file.write(lines)

    def control(self, action: str) -> None:
        log = self.home / "data/log"
        self._run("pg_ctl", action, "-D", str(self.home / "data"), "-l", str(log), "-w", "-m", "fast")

    def _run(self, program: str, *arguments: str) -> None:
        account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        subprocess.run(
            [PROGRAMS / program, *arguments],
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
            **account,  # type: ignore[call-overload]
        )


@pytest.fixture
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="pymeter-cron-"))
    if os.geteuid() == 0:
        shutil.chown(home, "nobody", "nogroup")
    made = Server(home)
    made.control("start")
    try:
        yield made
    finally:
        made.control("stop")
        shutil.rmtree(home)


def test_the_documented_line_runs_maintain_as_a_role_with_the_level_admin(server: Server) -> None:
    (line,) = re.findall(
        r"^SELECT cron\.schedule\(.*\);$", (ROOT / "sql/operate/README.md").read_text(), flags=re.MULTILINE
    )
    migrate(server.dsn)
    with psycopg.connect(server.dsn, autocommit=True) as owner:
        owner.execute("CREATE EXTENSION pg_cron")
        owner.execute("CREATE ROLE keeper LOGIN; GRANT USAGE ON SCHEMA cron TO keeper")
        owner.execute("SELECT meter.grant_access('keeper', 'admin')")
        owner.execute("SELECT meter.define_metric('m', 'sum', 'unit')")
        owner.execute("SELECT meter.record('a', 'm', 1, at => '2020-06-18 00:00Z')")
    with psycopg.connect(server.dsn, user="keeper", autocommit=True) as keeper:
        keeper.execute(line)
        row = keeper.execute("SELECT jobname, schedule, command FROM cron.job").fetchone()
        assert row == ("pymeter maintain", "17 3 * * *", "SELECT meter.maintain()")
        # Not to wait until 3 in the morning: the same command when the server starts.
        keeper.execute(line.replace("17 3 * * *", "@reboot"))
    server.control("restart")
    with psycopg.connect(server.dsn, autocommit=True) as owner:
        deadline = time.monotonic() + SECONDS_MAX
        outcomes: list[tuple[str, ...]] = []
        while not outcomes and time.monotonic() < deadline:
            time.sleep(0.2)
            outcomes = owner.execute(
                "SELECT username, status, return_message FROM cron.job_run_details"
                " WHERE status IN ('succeeded', 'failed')"
            ).fetchall()
        assert [(user, status) for user, status, _ in outcomes] == [("keeper", "succeeded")], outcomes
        assert owner.execute("SELECT count(*) FROM meter.events_2020_06").fetchone() == (1,)
        assert owner.execute("SELECT stray_events FROM meter.health()").fetchone() == (0,)

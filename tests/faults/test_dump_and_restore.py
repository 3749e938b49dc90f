"""A dump of the schema is a complete backup: restored, it is the same meter, and records on."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pymeter.migrate import migrate, status
from tests.faults.lived_in import go_on, live, picture
from tests.faults.servers import (
    Server,
    installed_servers,
    new_database,
    new_server,
    programs_of,
    version_of,
    why_no_restore,
)
from tests.helpers import Ledger

pytestmark = pytest.mark.slow


def run(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"
    return done.stdout


def dump(programs: Path, dsn: str, *options: str) -> str:
    """As pg_dump writes it, less the token with which it guards its output."""
    text = run(programs / "pg_dump", "--schema=meter", *options, dsn)
    return re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.MULTILINE)


@pytest.fixture
def role(pymeter_server: str) -> Iterator[str]:
    name = f"pymeter_app_{os.getpid()}"
    with psycopg.connect(pymeter_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        yield name
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def programs(pymeter_server: str) -> Path:
    """pg_dump and the like, of the server's own version."""
    found = programs_of(pymeter_server)
    if found is None or not (found / "pg_dump").exists():
        pytest.skip("no pg_dump of the server's version is at hand")
    skip_where_releases_do_not_fit(found, pymeter_server, pymeter_server)
    return found


def skip_where_releases_do_not_fit(programs: Path, source: str, target: str) -> None:
    """Releases of different age may not fit, which is not pymeter's to solve."""
    if reason := why_no_restore(programs, source, target):
        pytest.skip(
            f"pg_dump of {version_of(programs)} and these servers do not fit: {reason.splitlines()[0]}"
        )


@pytest.mark.parametrize("form", ["plain", "custom", "directory"])
def test_a_restored_dump_is_the_same_meter_and_records_on(
    role: str, pymeter_server: str, meter_dsn: str, programs: Path, tmp_path: Path, form: str
) -> None:
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        live(Ledger(connection), role)
        before = picture(Ledger(connection))
    file = tmp_path / "dump"
    run(programs / "pg_dump", "--schema=meter", f"--format={form}", f"--file={file}", meter_dsn)
    with new_database(pymeter_server) as restored:
        if form == "plain":
            run(programs / "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", file, restored)
        else:
            run(programs / "pg_restore", "--exit-on-error", "--jobs=2", "-d", restored, file)
        assert dump(programs, restored) == dump(programs, meter_dsn)
        with psycopg.connect(restored, autocommit=True) as connection:
            assert picture(Ledger(connection)) == before
            go_on(Ledger(connection), role)
        assert status(restored).up_to_date
        assert not migrate(restored).changed


def test_releases_that_do_not_fit_are_told_apart(pymeter_server: str, programs: Path, tmp_path: Path) -> None:
    """As where a later minor release writes an option that an earlier one does not know."""
    assert why_no_restore(programs, pymeter_server, pymeter_server) is None
    later = tmp_path / "pg_dump"
    option = "ALTER TABLE ONLY public.probe ALTER COLUMN x SET (pg_attver=1);"
    later.write_text(f'#!/bin/sh\n"{programs}/pg_dump" "$@" && echo "{option}"\n')
    later.chmod(0o755)
    (tmp_path / "psql").symlink_to(programs / "psql")
    assert 'unrecognized parameter "pg_attver"' in str(
        why_no_restore(tmp_path, pymeter_server, pymeter_server)
    )


def other_servers() -> list[tuple[int, Path]]:
    """Debian's servers, all of them older than the wheel's."""
    return [(major, path) for major, path in installed_servers().items() if major >= 15]


@pytest.fixture(params=other_servers() or [None], ids=lambda found: f"from {found[0]}" if found else "none")
def old_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A lived-in meter on an older server."""
    if request.param is None:
        pytest.skip("no PostgreSQL of Debian's packages is installed")
    with new_server(request.param[1]) as server:
        migrate(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("CREATE ROLE app")
            live(Ledger(connection), "app")
        yield server


def test_a_dump_of_an_older_server_restores_on_a_newer_one(
    old_server: Server, durable_server: Server
) -> None:
    """The newer pg_dump reads the older server: the way of upgrading that always works."""
    durable_server.bring_back()
    programs = durable_server.account.reachable_programs()
    if int(version_of(programs).split(".")[0]) <= int(version_of(old_server.program("")).split(".")[0]):
        pytest.skip("there is no newer server")
    skip_where_releases_do_not_fit(programs, old_server.dsn, durable_server.dsn)
    with psycopg.connect(old_server.dsn, autocommit=True) as connection:
        before = picture(Ledger(connection))
    text = dump(programs, old_server.dsn, "--no-acl")
    with new_database(durable_server.dsn) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        subprocess.run(
            [programs / "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", dsn],
            input=text,
            text=True,
            check=True,
            capture_output=True,
        )
        after = picture(Ledger(connection))
        assert {**after, "grants": None} == {**before, "grants": None}
        go_on(Ledger(connection))


def test_pg_upgrade_keeps_the_meter(old_server: Server, durable_server: Server) -> None:
    """In place, from Debian's server to the wheel's; grants included."""
    durable_server.bring_back()
    programs = durable_server.account.reachable_programs()
    skip_where_releases_do_not_fit(programs, old_server.dsn, durable_server.dsn)
    with psycopg.connect(old_server.dsn, autocommit=True) as connection:
        before = picture(Ledger(connection))
        checksums = connection.execute("SHOW data_checksums").fetchone() == ("on",)
    initdb = [] if checksums else ["--no-data-checksums"]
    with new_server(None, None, *initdb, start=False) as new:
        new.create()
        old_server.stop()
        work = new.data_dir.parent
        command = [
            *(programs / "pg_upgrade", "--username=postgres"),
            *("--old-bindir", old_server.program(""), "--new-bindir", programs),
            *("--old-datadir", old_server.data_dir, "--new-datadir", new.data_dir),
            *("--socketdir", work),
        ]
        done = subprocess.run(
            [str(part) for part in command],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
            **new.account.run_options,
        )  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout[-3000:]
        new.ensure_running()
        with psycopg.connect(new.dsn, autocommit=True) as connection:
            assert picture(Ledger(connection)) == before
            go_on(Ledger(connection), "app")
        assert status(new.dsn).up_to_date

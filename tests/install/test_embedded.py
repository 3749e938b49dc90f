"""The private server: it starts by itself, for many at once, as root and as anyone else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from pymeter import embedded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("PYMETER_TEST_DSN" in os.environ, reason="another server is to be used"),
]

PRINT_DSN = "import sys; from pymeter.embedded import server_dsn; print(server_dsn(sys.argv[1]))"


@pytest.fixture
def home(open_path: Path) -> Iterator[Path]:
    """Where servers may be started, which are stopped at the end."""
    yield open_path
    for data_dir in open_path.rglob("postgres-18"):
        embedded.stop(data_dir)


def version(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return connection.info.server_version // 10000


def start_in_a_process(data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a shell's $(...) would: the output is a pipe, and reading it ends when everyone has closed it."""
    return subprocess.run(
        [sys.executable, "-c", PRINT_DSN, str(data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
        check=False,
    )


def test_it_is_started_once_kept_running_and_keeps_its_data(home):
    dsn = embedded.server_dsn(home / "postgres-18")
    assert version(dsn) == 18
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept ()")
    assert embedded.server_dsn(home / "postgres-18") == dsn

    assert embedded.stop(home / "postgres-18")
    assert not embedded.stop(home / "postgres-18")

    assert embedded.server_dsn(home / "postgres-18") == dsn
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT FROM kept")


def test_a_caller_that_reads_our_output_does_not_wait_for_the_server_to_end(home):
    done = start_in_a_process(home / "postgres-18")

    assert done.stderr == ""
    assert version(done.stdout.strip()) == 18


def test_four_processes_at_once_get_the_same_server(home):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(start_in_a_process, [home / "postgres-18"] * 4))

    assert [process.stderr for process in done] == [""] * 4
    assert len({process.stdout for process in done}) == 1


def test_a_long_path_and_odd_characters_do_no_harm(home):
    data_dir = home / ("long" * 20) / ("name with 'quotes' & ümlaut " * 3) / "postgres-18"

    assert version(embedded.server_dsn(data_dir)) == 18


def test_the_users_postgres_variables_do_not_confuse_it(home):
    done = start_in_a_process(
        home / "postgres-18", PGPORT="1", PGDATA="/nowhere", PGHOST="nowhere", PGUSER="x"
    )

    assert done.stderr == ""
    assert version(done.stdout.strip()) == 18


def test_a_server_that_was_killed_starts_again(home):
    dsn = embedded.server_dsn(home / "postgres-18")
    pid = int((home / "postgres-18" / "postmaster.pid").read_text().split("\n")[0])
    os.kill(pid, 9)
    with pytest.raises(psycopg.OperationalError), psycopg.connect(dsn) as connection:
        while True:
            connection.execute("SELECT pg_sleep(0.01)")

    assert version(embedded.server_dsn(home / "postgres-18")) == 18


def test_half_a_creation_is_begun_again(home):
    (home / "postgres-18.partial").mkdir()
    (home / "postgres-18.partial" / "PG_VERSION").write_text("18\n")

    assert version(embedded.server_dsn(home / "postgres-18")) == 18


def test_a_directory_that_cannot_be_written_is_a_clear_error(home):
    (home / "file").write_text("")

    with pytest.raises(embedded.EmbeddedError, match="choose another directory with PYMETER_DATA_DIR"):
        embedded.server_dsn(home / "file" / "pymeter" / "postgres-18")


def test_the_directory_can_be_chosen(monkeypatch):
    monkeypatch.setenv("PYMETER_DATA_DIR", "/somewhere")

    assert embedded.default_data_dir() == Path("/somewhere/postgres-18")


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(embedded.EmbeddedError, match=r"pip install 'pymeter-ledger\[embedded\]'"):
        embedded.server_dsn()


def test_a_temporary_server_is_deleted(home, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with embedded.temporary_server() as dsn:
        assert version(dsn) == 18
        assert len(list(home.iterdir())) == 1

    assert list(home.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


@pytest.fixture
def left(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The DSN of a server below ``home`` that a killed test run has left running."""
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = (
        "import os, sys; from pymeter.embedded import temporary_server\n"
        "with temporary_server() as dsn: print(dsn, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert version(killed.stdout.strip()) == 18
    return killed.stdout.strip()


def test_what_a_killed_test_run_left_is_removed_by_the_next(home, left):
    with embedded.temporary_server() as dsn:
        assert version(dsn) == 18
        assert len(list(home.iterdir())) == 1
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(left)


def test_two_runs_at_once_may_remove_what_a_third_has_left(home, left, monkeypatch):
    """Both have seen that it runs; one has stopped and removed it when the other gets to it."""
    pg_ctl = embedded._Server._pg_ctl

    def come_second(server: embedded._Server, action: str, *options: str) -> int:
        if action == "stop" and server.data_dir.exists():
            assert pg_ctl(server, action, *options) == 0
            shutil.rmtree(server.data_dir.parent)
        return pg_ctl(server, action, *options)

    with monkeypatch.context() as patched:
        patched.setattr(embedded._Server, "_pg_ctl", come_second)
        embedded._remove_leftovers(home)
    assert list(home.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(left)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has two accounts")
def test_root_runs_it_as_nobody_and_opens_no_directory_for_that(home):
    data_dir = home / "postgres-18"
    embedded.server_dsn(data_dir)

    assert data_dir.stat().st_uid == 65534 or data_dir.owner() == "nobody"
    assert home.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has two accounts")
def test_root_is_told_when_the_servers_account_cannot_enter_a_directory(home):
    home.chmod(0o700)

    with pytest.raises(embedded.EmbeddedError, match="nobody"):
        embedded.server_dsn(home / "postgres-18")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has two accounts")
def test_roots_server_starts_from_programs_that_only_root_can_read(home, tmp_path):
    package = embedded._programs().parents[1]
    for part in (package, *package.parent.glob(f"{package.name}.libs")):
        shutil.copytree(part, tmp_path / part.name)
    tmp_path.chmod(0o700)

    done = start_in_a_process(
        home / "postgres-18", PYTHONPATH=str(tmp_path), PYMETER_DATA_DIR=str(home / "programs")
    )

    assert done.stderr == ""
    assert version(done.stdout.strip()) == 18
    assert tmp_path.stat().st_mode & 0o777 == 0o700

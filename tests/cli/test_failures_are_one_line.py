"""A failure is one red line with its detail and hint, and an exit status; no traceback, no password."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymeter import Meter, calls
from pymeter.program_connection import checked_dsn
from pymeter.secrets import redact

Run = Callable[..., Any]


def test_what_the_ledger_refuses_is_status_1(pymeter: Run) -> None:
    ran = pymeter("record", "acct_1", "tokns", "5")
    assert ran.status == 1
    assert ran.out == ""
    first, detail, hint = ran.err.splitlines()
    assert first == "error: unknown metric  [UM001]"
    assert "tokns" in detail
    assert hint.startswith("  hint: ")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("usage", "a", "tokens", "--schema", "nowhere"), "pymeter migrate --schema nowhere;"),
        (("totals", "tokens", "--schema", "nowhere"), "pymeter migrate --schema nowhere;"),
        (("usage", "a", "tokens", "--since", "yesterday-ish"), "not a valid date or time"),
        (("usage", "a", "tokens", "--since", "2026-02-30"), "not a valid date or time"),
        (("usage", "a", "tokens", "--json", "--csv"), "exclude"),
        (("usage", "a"), "metric"),
        (("record", "a", "tokens", "1", "--metadata", "[]"), "json object"),
        (("define", "a", "sum", "x", "--max-future", "soon"), "duration"),
        (("subjects", "-z", "Mars/Olympus"), "time zone"),
        (("import", "no-such-file.csv"), "no-such-file.csv"),
        (("import", "x", "--format", "xml"), "cloudevents"),
        (("import", "x", "--map", "subject"), "field=value"),
        (("export",), "--all"),
        (("series", "a", "tokens", "--until", "2026-01-01"), "two ends"),
        (("sql", "--after", "9999-nothing"), "9999-nothing"),
        (("frobnicate",), "frobnicate"),
        (("health",), "did you mean 'status'"),
        (("list",), "did you mean 'catalog'"),
        (("quota", "a", "tokens", "1"), "did you mean 'check'"),
        (("reocrd", "a", "tokens", "1"), "did you mean 'record'"),
        (("report", "mapping"), "did you mean 'mappings'"),
        (("check", "a", "tokens", "abc"), "write it like 120 or 0.5"),
        (("check", "a", "tokens", "-1"), "quota or requested is negative"),
        (("events", "a", "--limit", "0"), "--limit"),
        (("check", "a", "tokns", "5"), "unknown metric"),
    ],
)
def test_what_could_not_run_is_status_2(pymeter: Run, args: tuple[str, ...], says: str) -> None:
    ran = pymeter(*args)
    assert ran.status == 2
    assert says in ran.err.lower()
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ("usage", "a", "tokns"),
        ("totals", "tokns"),
        ("check", "a", "tokns", "5"),
        ("record", "a", "tokns", "5"),
    ],
)
def test_an_unknown_metric_names_the_one_that_was_probably_meant(pymeter: Run, args: tuple[str, ...]) -> None:
    pymeter("define", "tokens", "sum", "token")
    assert "hint: Did you mean 'tokens'? List all metrics with: pymeter catalog" in pymeter(*args).err
    other = pymeter("usage", "a", "it's other").err
    assert "Did you mean" not in other
    assert "pymeter catalog" in other


SECRETS = [
    "postgresql://user:hunter2@127.0.0.1:1/x",
    "postgresql://user:hun%74er2@127.0.0.1:1/x",
    "postgresql://user:x@hunter2@127.0.0.1:1/x",
    "postgresql://user:x/hunter2@127.0.0.1:1/x",
    "postgresql://user:hunter2@127.0.0.1:notaport/x",
    "postgres:/user:hunter2@127.0.0.1/x",
    "host=127.0.0.1 port=1 password=hunter2",
    "host=127.0.0.1 port=1 password='hunter2",
    "host=127.0.0.1 pasword=hunter2",
    "hunter2",
]


@pytest.mark.parametrize("dsn", SECRETS)
def test_a_password_is_never_printed(pymeter: Run, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("catalog",), ("status",), ("migrate",)):
        for ran in (pymeter(*command, "--dsn", dsn), _with_environment(pymeter, monkeypatch, dsn, command)):
            assert ran.status == 2
            assert "hunter2" not in ran.out + ran.err
            assert "hun%74er2" not in ran.out + ran.err
            assert ran.err.startswith("error: ")


def _with_environment(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch, dsn: str, command: tuple[str, ...]
) -> Any:
    with monkeypatch.context() as patch:
        patch.setenv("PYMETER_DSN", dsn)
        return pymeter(*command)


def test_a_password_in_the_environment_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    assert redact("the password hunter2 is wrong") == "the password *** is wrong"


def test_the_drivers_of_other_tools_are_understood() -> None:
    assert checked_dsn("postgresql+psycopg://u@h/db") == "postgresql://u@h/db"
    assert checked_dsn("postgres://u@h/db") == "postgres://u@h/db"


def test_an_unexpected_failure_is_a_line_too(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("something nobody thought of")

    monkeypatch.setattr(Meter, "_run", broken)
    ran = pymeter("catalog")
    assert ran.status == 2
    assert ran.err.splitlines()[0] == "error: RuntimeError: something nobody thought of"
    assert calls.catalog().function == "catalog"


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')")
    ran = subprocess.run(
        [sys.executable, "-m", "pymeter", "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr == "pymeter: the command line needs more: pip install 'pymeter-ledger[cli]'\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there it listens on a port")
def test_a_private_server_that_is_stopped_is_to_be_started(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pymeter.embedded import default_socket

    monkeypatch.setenv("PYMETER_DATA_DIR", str(tmp_path))
    socket = default_socket()
    port = socket.suffix.removeprefix(".")
    private = f"postgresql://postgres@/postgres?host={socket.parent}&port={port}"
    other = f"postgresql://postgres@/postgres?host={tmp_path / 'other'}&port={port}"
    for command in (("catalog",), ("status",), ("migrate",)):
        stopped = pymeter(*command, "--dsn", private)
        assert (stopped.status, "Run: pymeter server start" in stopped.err) == (2, True), stopped.err
        assert "server start" not in pymeter(*command, "--dsn", other).err

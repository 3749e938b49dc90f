"""``pymeter("usage", "acct_1", "tokens")`` runs the command line on the test's own database."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer import testing
from typer.testing import CliRunner

from pymeter.cli.app import app


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]

# Typer makes the commands anew for every call, which takes longer than most of them.
testing._get_command = cache(testing._get_command)  # type: ignore[attr-defined]


@pytest.fixture
def pymeter(meter_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "FORCE_COLOR", "COLUMNS", "PYMETER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYMETER_DSN", meter_dsn)

    def run(*args: str | Path, input: str | bytes | None = None) -> Ran:
        result = _runner().invoke(app, [str(arg) for arg in args], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


def _runner() -> CliRunner:
    try:
        return CliRunner(mix_stderr=False)  # type: ignore[call-arg]
    except TypeError:  # newer ones always keep the two streams apart
        return CliRunner()

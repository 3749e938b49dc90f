"""Type checkers and editors see the clients as they are: pyright, mypy's peer, and jedi, which completes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_SECONDS_MAX = 300
_PROGRAM = """\
from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_type

from pymeter import AsyncMeter, Meter, NewEvent, models


def sync(meter: Meter) -> None:
    reveal_type(meter.record)
    assert_type(meter.record("acct_1", "tokens", 120, idempotency_key="req_1"), models.Recorded)
    assert_type(meter.record("acct_1", "tokens", total=False), models.Recorded | models.RecordedWithoutTotal)
    assert_type(meter.usage("acct_1", "tokens", period="month"), models.UsageTotal)
    assert_type(meter.usage("acct_1", "tokens", period="30 days").quantity, Decimal)
    assert_type(meter.check_quota("acct_1", "tokens", 1000).until, datetime | None)
    assert_type(meter.check_quota("acct_1", "tokens").quota, Decimal | None)
    assert_type(meter.record("acct_1", "tokens", 1, overflow=True, strict=True), models.Recorded)
    assert_type(meter.set_limit("tokens", None, marks=[50, "99.5"]), models.Limit)
    assert_type(meter.billing_cycle("acct_1"), models.Window)
    assert_type(meter.for_subject("acct_1").limits("tokens"), list[models.EffectiveLimit])
    assert_type(meter.for_subject("acct_1").summary(), list[models.UsageTotal])
    assert_type(meter.reporting.pushes(), list[models.Push])
    for quantity in (3, "0.5", Decimal(1), None):
        NewEvent(subject="acct_1", metric="tokens", quantity=quantity)
    NewEvent(subject="acct_1", metric="tokens", at="2026-06-18T14:30:45Z", metadata={"model": "large"})
    NewEvent(subject="acct_1", metric="tokens", at=datetime.now(UTC))


async def asynchronous(meter: AsyncMeter) -> None:
    reveal_type(meter.record)
    assert_type(await meter.record("acct_1", "tokens", 120), models.Recorded)
"""
# What a checker has to refuse, by the line that it stands on.
_REFUSED = """\
from pymeter import Meter, NewEvent


def wrong(meter: Meter) -> None:
    meter.record("acct_1", "tokens", 0.1)
    meter.record("acct_1", "tokens", 1, "req_1")
    meter.record("acct_1", "tokens", 1, key="req_1")
    NewEvent(subject="acct_1", metric="tokens", quantity=0.1)
"""
_PARAMETERS = (
    "subject: str, metric: str, quantity: Decimal | int | str | None = None, *, member: str | None = None, "
    "idempotency_key: str | None = None, at: datetime | None = None, "
    "metadata: Mapping[str, Any] | None = None, total: Literal[True] = True, "
    "overflow: bool = False, strict: bool = False"
)


@dataclass(frozen=True)
class Finding:
    file: str
    severity: str
    line: int
    message: str


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """What pyright says about a program that is right, and about one whose every call is wrong."""
    pytest.importorskip("pyright")
    folder = tmp_path_factory.mktemp("pyright")
    files = [folder / "right.py", folder / "wrong.py"]
    for file, text in zip(files, (_PROGRAM, _REFUSED), strict=True):
        file.write_text(text)
    command = [
        sys.executable,
        "-m",
        "pyright",
        "--outputjson",
        "--pythonpath",
        sys.executable,
        *map(str, files),
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
    )
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except ValueError:
        pytest.skip(f"pyright cannot run here: {done.stderr[-500:]}")  # it fetches itself from npm
    return [
        Finding(
            Path(f["file"]).name,
            f["severity"],
            f["range"]["start"]["line"] + 1,
            " ".join(f["message"].split()),
        )
        for f in found
    ]


@pytest.mark.slow
def test_pyright_accepts_what_the_clients_accept(findings: list[Finding]) -> None:
    assert [f for f in findings if f.file == "right.py" and f.severity == "error"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "returns"), [("Meter", "Recorded"), ("AsyncMeter", "CoroutineType[Any, Any, Recorded]")]
)
def test_pyright_sees_the_signature_of_record(findings: list[Finding], client: str, returns: str) -> None:
    revealed = [f.message for f in findings if f.severity == "information" and "meter.record" in f.message]
    assert any(
        f'Type of "meter.record" is "Overload[({_PARAMETERS}) -> {returns}, ' in r for r in revealed
    ), client


@pytest.mark.slow
def test_pyright_refuses_what_the_clients_refuse(findings: list[Finding]) -> None:
    assert {f.line for f in findings if f.file == "wrong.py" and f.severity == "error"} == {5, 6, 7, 8}


_SETUP = """\
import psycopg
import pymeter

meter = pymeter.{client}(psycopg.{connection}())
"""


@pytest.mark.parametrize(
    ("client", "connection"), [("Meter", "Connection.connect"), ("AsyncMeter", "AsyncConnection")]
)
def test_jedi_completes_the_methods_and_shows_the_signature_of_record(client: str, connection: str) -> None:
    jedi = pytest.importorskip("jedi")
    code = _SETUP.format(client=client, connection=connection)
    names = {completion.name for completion in jedi.Script(f"{code}meter.").complete(5, 6)}
    assert {"record", "record_batch", "usage", "check_quota", "reporting", "for_subject"} <= names
    signature, *_ = jedi.Script(f"{code}meter.record(").get_signatures(5, 13)
    assert [parameter.name for parameter in signature.params] == [
        "subject",
        "metric",
        "quantity",
        "member",
        "idempotency_key",
        "at",
        "metadata",
        "total",
        "overflow",
        "strict",
    ]
    assert "Record one event, exactly once" in signature.docstring()


def test_jedi_knows_what_record_returns() -> None:
    jedi = pytest.importorskip("jedi")
    code = _SETUP.format(client="Meter", connection="Connection.connect")
    script = jedi.Script(f"{code}meter.record('acct_1', 'tokens').")
    names = {completion.name for completion in script.complete(5, 33)}
    assert {"event_id", "outcome", "quantity", "period_end"} <= names

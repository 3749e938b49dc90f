"""The fixtures as a user's project has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

USERS_TEST = """
def test_first(meter, meter_dsn):
    import psycopg
    meter.define_metric("tokens", "sum", "token")
    meter.record("acct_1", "tokens", 120, idempotency_key="req_1")
    assert meter.usage("acct_1", "tokens").quantity == 120
    with psycopg.connect(meter_dsn) as other:
        assert other.execute("SELECT count(*) FROM meter.events").fetchone() == (1,)

def test_second_sees_nothing_of_the_first(meter_connection):
    assert meter_connection.execute("SELECT count(*) FROM meter.events").fetchone() == (0,)
    assert meter_connection.execute("SELECT count(*) FROM meter.metrics").fetchone() == (0,)
"""

ASYNC_TEST = """
import asyncio
import pytest

async def use(meter, async_meter):
    meter.define_metric("tokens", "sum", "token")
    recorded = [async_meter.record("acct_1", "tokens", n, idempotency_key=f"req_{n}") for n in range(1, 5)]
    await asyncio.gather(*recorded)
    assert meter.usage("acct_1", "tokens").quantity == 10
    assert [event.quantity async for event in async_meter.iter_all_events(page_size=3)] != []

def test_in_loops_of_its_own(meter, async_meter):
    asyncio.run(use(meter, async_meter))
    asyncio.run(use(meter, async_meter))
"""
ANYIO_TEST = """
@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_with_the_plugin_of_anyio(meter, async_meter):
    await use(meter, async_meter)
"""
PYTEST_ASYNCIO_TEST = """
@pytest.mark.asyncio
async def test_with_pytest_asyncio(meter, async_meter):
    await use(meter, async_meter)
"""

IMPORTS = """
import sys
import pymeter.pytest_plugin
heavy = {"psycopg", "pydantic", "yoyo", "rich", "typer", "pytest_postgresql"} & set(sys.modules)
assert not heavy, heavy
"""

HIDDEN = """
import sys
sys.modules["pytest_postgresql"] = None
sys.modules["pytest_postgresql.janitor"] = None
"""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_users_tests_get_a_meter_each(tmp_path):
    (tmp_path / "test_users.py").write_text(USERS_TEST)

    done = run_pytest(tmp_path)

    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "test", "passed"),
    [
        (None, "", "1 passed"),
        ("anyio", ANYIO_TEST, "2 passed"),
        ("pytest_asyncio", PYTEST_ASYNCIO_TEST, "2 passed"),
    ],
    ids=["no plugin", "anyio", "pytest-asyncio"],
)
def test_async_tests_get_a_meter_each_whatever_runs_them(tmp_path, plugin, test, passed):
    if plugin is not None:
        pytest.importorskip(plugin)
    (tmp_path / "test_users.py").write_text(ASYNC_TEST + test)

    done = run_pytest(tmp_path, *(("-p", "no:anyio") if plugin != "anyio" else ()))

    assert passed in done.stdout, done.stdout + done.stderr


def test_the_plugin_imports_nothing_heavy(tmp_path):
    subprocess.run([sys.executable, "-c", IMPORTS], cwd=tmp_path, check=True)


def test_a_run_that_does_not_use_it_works_without_pytest_postgresql(tmp_path):
    (tmp_path / "conftest.py").write_text(HIDDEN)
    (tmp_path / "test_users.py").write_text("def test_nothing(): pass\ndef test_uses_it(meter_dsn): pass\n")

    done = run_pytest(tmp_path, "-p", "no:postgresql")

    assert "1 passed, 1 error" in done.stdout
    assert "pip install 'pymeter-ledger[pytest]'" in done.stdout

"""pymeter web and pymeter key, as somebody at a terminal uses them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pymeter.web import roles as web_roles
from tests.access.conftest import Roles
from tests.helpers import Ledger

WAIT_SECONDS = 60


def pymeter(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymeter", "--dsn", dsn, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


@contextmanager
def serving(dsn: str, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pymeter", "--dsn", dsn, "web", "--port", str(port)],
            stdout=file,
            stderr=file,
        )
        base = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + WAIT_SECONDS
            while time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                try:
                    httpx.get(f"{base}/health/live")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield base, process, log
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def login(metered: Ledger, roles: Roles) -> Iterator[str]:
    """The DSN of a login role that the printed script has created."""
    name = f"{roles.new('read', options='NOLOGIN')} w"
    script = web_roles.script("meter", name)
    for line in script.splitlines():
        if not line.startswith("--"):
            roles.admin.execute(line.encode())
    roles.sql("ALTER ROLE {} PASSWORD 'not a secret'", name)
    yield make_conninfo(roles.dsn, user=name, password="not a secret")
    for role in (*(f"{name}_{level}" for level in web_roles.LEVELS), name):
        roles.admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def test_a_key_from_the_command_line_works_until_it_is_revoked(
    roles: Roles, login: str, tmp_path: Path
) -> None:
    key = pymeter(roles.dsn, "key", "create", "write", "--name", "worker").stdout.strip()
    assert key.startswith("pm_live_")
    (listed,) = json.loads(pymeter(roles.dsn, "key", "list", "--json").stdout)
    assert (listed["name"], listed["level"], listed["last_used_at"]) == ("worker", "write", None)
    other = pymeter(roles.dsn, "key", "create", "write").stdout.strip()
    with serving(login, tmp_path) as (base, process, log):
        assert httpx.get(f"{base}/health/ready").json() == {"ready": True, "problems": []}
        event = {"subject": "acct_1", "metric": "tokens", "quantity": 1}
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.post(f"{base}/v1/events", json=event, headers=headers).status_code == 200
        assert httpx.post(f"{base}/v1/events?token={key}", json=event).status_code == 401
        assert "worker" in pymeter(roles.dsn, "key", "list").stdout
        assert pymeter(roles.dsn, "key", "revoke", str(listed["key_id"])).returncode == 0
        assert httpx.post(f"{base}/v1/events", json=event, headers=headers).status_code == 401
        # A request that is under way is answered before the server ends.
        host, port = base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            slow.sendall(
                f"POST /v1/rpc/record HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n"
                f"Expect: 100-continue\r\nAuthorization: Bearer {other}\r\n\r\n".encode()
            )
            assert slow.recv(100).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            slow.sendall(b"{}")
            assert slow.recv(100).startswith(b"HTTP/1.1 400")
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert key.split("_")[3] not in log.read_text()


def test_the_server_logs_in_as_no_owner_and_no_superuser(roles: Roles, metered: Ledger) -> None:
    refused = pymeter(roles.dsn, "web")
    assert refused.returncode == 2
    assert "superuser or owns the meter" in refused.stderr
    reader = roles.new("read")
    dsn = make_conninfo(roles.dsn, user=reader, password="not a secret")
    assert "lacks the level login" in pymeter(dsn, "web").stderr

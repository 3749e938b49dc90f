"""pgbouncer in transaction mode, in front of a server. Debian: apt-get install pgbouncer."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from pymeter.embedded import _Account
from tests.benchmarks.delay import _through

_SETTINGS = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
pidfile = {home}/pid
logfile = {home}/log
"""
_START_SECONDS_MAX = 20


def program() -> str | None:
    """The path of pgbouncer, if it is installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def pgbouncer(dsn: str, *, connections: int = 4) -> Iterator[str]:
    """The DSN of the same database through a pgbouncer with so few connections of its own."""
    path = program()
    assert path is not None, "pgbouncer is not installed"
    with psycopg.connect(dsn) as connection:
        host, port, user = connection.info.host, connection.info.port, connection.info.user
    home = Path(tempfile.mkdtemp(prefix="pymeter-bouncer-"))
    account = _Account()
    account.own(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = probe.getsockname()[1]
    settings = home / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(host=host, port=port, user=user, listen=listen, connections=connections, home=home)
    )
    account.own(settings)
    process = subprocess.Popen(
        [path, "-q", str(settings)],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        **account.run_options,
    )  # type: ignore[call-overload]
    try:
        _wait(home, listen, process)
        yield _through(dsn, listen)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(home, ignore_errors=True)


def _wait(home: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            log = home / "log"
            text = log.read_text() if log.exists() else "no log"
            assert process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.02)

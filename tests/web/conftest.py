"""The application on a meter of the test's own: with real roles, in this process or in a server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import uvicorn
from psycopg.conninfo import make_conninfo

from pymeter.web import app
from tests.access.conftest import PASSWORD, Roles, metered, roles
from tests.helpers import Ledger, ledger, new_ledger
from tests.keys.conftest import Server, new_key, server, token

__all__ = ["Api", "api", "ledger", "metered", "new_ledger", "roles", "served", "server", "token"]


class Api:
    """``api.post("/v1/events", {...}, "write")``: a request with a key of that level."""

    def __init__(self, base: str, ledger: Ledger, application: Any = None) -> None:
        self.base = base
        self.ledger = ledger
        self.application = application
        self.client = httpx.Client(base_url=base, timeout=30)
        self._keys: dict[tuple[str, str | None], str] = {}

    def key(self, level: str, subject: str | None = None) -> str:
        if (level, subject) not in self._keys:
            self._keys[level, subject] = new_key(self.ledger, level, subject=subject)
        return self._keys[level, subject]

    def bearer(self, level: str | None, subject: str | None = None) -> dict[str, str]:
        return {} if level is None else {"Authorization": f"Bearer {self.key(level, subject)}"}

    def post(
        self,
        path: str,
        value: Any = None,
        level: str | None = "write",
        subject: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        content = value if isinstance(value, str | bytes) else json.dumps(value)
        given = {"Content-Type": "application/json", **self.bearer(level, subject)}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        return self.client.post(path, content=content, headers=given)

    def get(self, path: str, level: str | None = "read", **query: Any) -> httpx.Response:
        return self.client.get(path, params=query, headers=self.bearer(level))


def exact(answer: httpx.Response) -> Any:
    """The JSON of an answer, with exact numbers."""
    return json.loads(answer.text, parse_float=Decimal)


@contextmanager
def running(application: Any, **options: Any) -> Iterator[str]:
    """The address of a server in a thread of this process."""
    # With the protocol named, asyncio sets TCP_NODELAY; without it, each answer waits 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_level="warning", access_log=False, **options)
    uvicorn_server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(uvicorn_server.serve([listening])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        uvicorn_server.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture
def served(metered: Ledger, roles: Roles, server: Server) -> Iterator[Callable[..., Api]]:
    """``served(max_bytes=10)``: the application with these options and `around`, in a server."""
    dsn = make_conninfo(roles.dsn, user=server.role, password=PASSWORD)
    opened: list[Any] = []
    clients: list[httpx.Client] = []

    def serve(around: Callable[[Any], Any] = lambda made: made, **options: Any) -> Api:
        application = app(dsn, **options)
        context = running(around(application))
        opened.append(context)
        made = Api(context.__enter__(), metered, application)
        clients.append(made.client)
        return made

    yield serve
    for client in clients:
        client.close()
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture
def api(served: Callable[..., Api]) -> Api:
    return served()

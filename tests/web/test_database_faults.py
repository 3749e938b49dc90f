"""A database that is lost, hangs or is read only: 503 soon, and a retry with the same key counts once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool
from starlette.responses import JSONResponse
from starlette.routing import Route

from pymeter.migrate import migrate
from pymeter.web import app
from pymeter.web.catalog import Catalog
from tests.access.conftest import PASSWORD, Roles
from tests.faults.bouncer import pgbouncer, program
from tests.faults.proxy import Proxy, lossy
from tests.faults.servers import new_database, new_server
from tests.helpers import Ledger
from tests.keys.conftest import Server
from tests.web import process
from tests.web.conftest import Api, running
from tests.web.pages.conftest import signed_in
from tests.web.pages.reading import read, send

EVENT = {"subject": "acct_3", "metric": "tokens", "quantity": 5, "idempotency_key": "k"}
COMMIT = b"COMMIT\0"  # the whole statement: BEGIN says READ COMMITTED
STATEMENT_SECONDS = 0.5
BOUND_SECONDS = STATEMENT_SECONDS + 2  # then the connection is cut
SLACK_SECONDS = 3  # of a busy machine


@pytest.fixture
def through(metered: Ledger, roles: Roles, server: Server) -> Iterator[tuple[Proxy, Api]]:
    """The application on one connection through a proxy, and a first request that has opened it."""
    with lossy(make_conninfo(roles.dsn, user=server.role, password=PASSWORD)) as (proxy, dsn):
        options = {"connections": 1, "wait_seconds": 1.0, "statement_seconds": STATEMENT_SECONDS}
        with running(app(dsn, **options)) as base:
            api = Api(base, metered)
            assert api.post("/v1/events", EVENT | {"idempotency_key": "first"}).status_code == 200
            yield proxy, api
            proxy.heal()
            api.client.close()


def post_until_answered(api: Api, value: Any, seconds: float = 15) -> Any:
    """The answer, when it is no longer 503, or 504 because what was cut off still holds its locks."""
    deadline = time.monotonic() + seconds
    while True:
        answer = api.post("/v1/events", value)
        if answer.status_code not in (503, 504):
            return answer.json()
        assert time.monotonic() < deadline, "it does not recover"
        time.sleep(0.1)


@pytest.mark.parametrize("events", [1, 3], ids=["one event", "a batch"])
@pytest.mark.parametrize(
    ("at", "loss", "counted"),
    [
        (b"BEGIN", "request", 0),
        (b"authenticate", "reply", 0),
        (b"record", "request", 0),
        (b"record", "reply", 0),
        (COMMIT, "request", 0),
        (COMMIT, "reply", 1),
        (COMMIT, "half the reply", 1),
    ],
)
def test_a_connection_that_is_lost_is_503_and_a_retry_counts_once(
    through: tuple[Proxy, Api], metered: Ledger, at: bytes, loss: str, counted: int, events: int
) -> None:
    proxy, api = through
    value: Any = EVENT if events == 1 else [EVENT | {"idempotency_key": f"k{n}"} for n in range(events)]
    proxy.at, proxy.lose = at, loss
    answer = api.post("/v1/events", value)
    assert proxy.lost == 1
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "same idempotency keys" in answer.json()["hint"]
    again = post_until_answered(api, value)
    outcomes = [row["outcome"] for row in (again if events > 1 else [again])]
    assert outcomes == ["duplicate" if counted else "recorded"] * events
    assert metered.usage("acct_3", "tokens").event_count == events + 1
    assert metered.verify() == []


@pytest.mark.parametrize(
    ("at", "loss", "hint"),
    [
        (b"authenticate", "reply", "Nothing was changed"),
        (b"test_endpoint", "reply", "Nothing was changed"),
        (COMMIT, "request", "is not known"),
        (COMMIT, "reply", "is not known"),
    ],
)
def test_a_form_whose_connection_is_lost_says_whether_it_is_known_what_was_changed(
    through: tuple[Proxy, Api], metered: Ledger, at: bytes, loss: str, hint: str
) -> None:
    proxy, api = through
    metered.call("define_endpoint", name="ops", url="https://example.com/hook")
    browser = signed_in(api, "read", "admin")
    page = read(browser, "/endpoint", name="ops")
    proxy.at, proxy.lose = at, loss
    answer = send(browser, page, "/endpoint/test", name="ops")
    assert proxy.lost == 1
    assert answer.status == 503
    assert hint in answer.text
    assert "idempotency" not in answer.text


@pytest.mark.parametrize("at", [b"", COMMIT], ids=["at once", "at COMMIT"])
def test_a_database_that_hangs_is_503_within_the_bound_and_comes_back_by_itself(
    through: tuple[Proxy, Api], metered: Ledger, at: bytes
) -> None:
    proxy, api = through
    proxy.at, proxy.lose = at, "everything"
    began = time.monotonic()
    answer = api.post("/v1/events", EVENT)
    assert answer.status_code == 503
    assert proxy.lost == 1
    assert BOUND_SECONDS - 0.1 < time.monotonic() - began < BOUND_SECONDS + SLACK_SECONDS
    # While it hangs, no other request waits longer for a connection than it may; and the process lives.
    proxy.at = b""
    began = time.monotonic()
    assert api.post("/v1/events", EVENT).status_code == 503
    assert api.client.get("/health/live").status_code == 200
    assert time.monotonic() - began < 1 + SLACK_SECONDS
    proxy.heal()
    # The COMMIT that was held may arrive only now.
    again = post_until_answered(api, EVENT)
    assert again["outcome"] in ("recorded", "duplicate")
    assert metered.usage("acct_3", "tokens").event_count == 2


def test_a_stopped_server_is_503_within_the_bound_and_comes_back_by_itself() -> None:
    with new_server() as server, new_database(server.dsn) as dsn:
        migrate(dsn)
        with process.login(dsn) as login_dsn, psycopg.connect(dsn, autocommit=True) as connection:
            ledger = Ledger(connection)
            ledger.define("tokens", "sum")
            with running(app(login_dsn, wait_seconds=1.0, statement_seconds=STATEMENT_SECONDS)) as base:
                api = Api(base, ledger)
                assert api.post("/v1/events", EVENT | {"idempotency_key": "first"}).status_code == 200
                pids = server.processes()
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    statuses = [api.post("/v1/events", EVENT).status_code for _ in range(2)]
                    assert time.monotonic() - began < BOUND_SECONDS + 1 + SLACK_SECONDS
                finally:
                    for pid in pids:
                        os.kill(pid, signal.SIGCONT)
                assert statuses == [503, 503]
                assert post_until_answered(api, EVENT)["outcome"] in ("recorded", "duplicate")
                assert ledger.usage("acct_3", "tokens").event_count == 2
                # A restart breaks the connections of the pool.
                server.stop(mode="immediate")
                assert api.post("/v1/events", EVENT).status_code == 503
                server.bring_back()
                assert post_until_answered(api, EVENT)["outcome"] == "duplicate"
                api.client.close()


def test_a_database_that_may_not_be_written_to_is_503_until_a_connection_may(
    metered: Ledger, roles: Roles, server: Server
) -> None:
    dsn = make_conninfo(roles.dsn, user=server.role, password=PASSWORD)
    with running(app(dsn, connections=1)) as base:
        api = Api(base, metered)
        api.key("write")
        roles.sql("ALTER ROLE {} SET default_transaction_read_only = on", server.role)
        answer = api.post("/v1/events", EVENT)
        assert (answer.status_code, answer.json()["sqlstate"]) == (503, "25006")
        assert api.get("/v1/rpc/catalog").status_code == 200
        # The setting is of new sessions: the old connection would be refused for ever, as after a failover.
        roles.sql("ALTER ROLE {} RESET default_transaction_read_only", server.role)
        assert {api.post("/v1/events", EVENT).status_code for _ in range(3)} <= {200, 503}
        assert post_until_answered(api, EVENT)["outcome"] == "duplicate"
        api.client.close()


def test_a_callers_pool_gets_its_connection_back_as_it_was(
    metered: Ledger, roles: Roles, server: Server
) -> None:
    """Nothing of a request is there in the next one, however it has ended."""
    made: list[AsyncConnectionPool[Any]] = []
    found: list[Any] = []

    async def state(_request: Any) -> Any:
        async with made[0].connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT current_user = session_user, current_setting('search_path'),"
                    " current_setting('statement_timeout'), current_setting('transaction_isolation'),"
                    " coalesce(current_setting('pymeter.credential', true), '')"
                )
            ).fetchone()
            found.append((row, connection.autocommit))
        return JSONResponse({})

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if not made:
            dsn = make_conninfo(roles.dsn, user=server.role, password=PASSWORD)
            kwargs = {"options": "-c statement_timeout=77s -c default_transaction_isolation=serializable"}
            made.append(AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False, kwargs=kwargs))
            await made[0].open()
            applications.append(app(made[0], routes=[Route("/state", state)]))
        await applications[0](scope, receive, send)

    applications: list[Any] = []
    with running(outer, lifespan="off") as base:
        api = Api(base, metered)
        metered.call("set_limit", metric="tokens", quota=7, period="day", subject="acct_3")
        statuses = [api.client.get("/state").status_code]
        for value, level in (
            (EVENT, "write"),
            ([EVENT], "write"),
            (EVENT | {"metric": "nothing"}, "write"),
            (EVENT | {"idempotency_key": "more"}, "write"),
            (EVENT, "read"),
        ):
            statuses.append(api.post("/v1/events?strict=true", value, level).status_code)
            api.client.get("/state")
        api.client.close()
    assert statuses == [200, 200, 200, 404, 402, 403]
    assert len(found) == len(statuses)
    assert {*found} == {((True, '"$user", public', "77s", "serializable", ""), False)}, found


@pytest.mark.skipif(program() is None, reason="pgbouncer is not installed (Debian: pgbouncer)")
def test_through_pgbouncer_in_transaction_mode(metered: Ledger, server: Server, roles: Roles) -> None:
    with pgbouncer(roles.dsn, connections=1) as dsn, running(app(dsn, connections=4)) as base:
        api = Api(base, metered)
        values = [EVENT | {"idempotency_key": f"k{n}"} for n in range(12)]

        def send(value: Any) -> None:
            for level, status in (("write", 200), ("read", 403)):
                answer = httpx.post(f"{base}/v1/events", json=value, headers=api.bearer(level), timeout=30)
                statuses.append((answer.status_code, status))

        statuses: list[tuple[int, int]] = []
        api.key("write"), api.key("read")
        threads = [threading.Thread(target=send, args=[value]) for value in values]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found == expected for found, expected in statuses), statuses
        assert len(statuses) == 2 * len(values)
        assert metered.usage("acct_3", "tokens").event_count == len(values)
        api.client.close()


def test_requests_that_come_together_read_the_catalog_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    async def read(self: Catalog) -> None:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.01)
        self._read_at = time.monotonic()

    async def ask() -> None:
        catalog = Catalog(None)  # type: ignore[arg-type]
        await asyncio.gather(*(catalog.functions() for _ in range(20)))

    monkeypatch.setattr(Catalog, "_read", read)
    asyncio.run(ask())
    assert reads == 1

"""The application works on any pool of connections, and leaves them as they were."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from pymeter.web import app
from tests.access.conftest import PASSWORD, Roles
from tests.helpers import Ledger
from tests.keys.conftest import Server, new_key

SNOWMAN = "acct \u2603"
KINDS: dict[str, dict[str, Any]] = {
    "rows are dicts": {"row_factory": dict_row},
    "values in the statement": {"cursor_factory": psycopg.AsyncClientCursor},
    "not UTF-8": {"client_encoding": "LATIN1"},
    "every default": {
        "prepare_threshold": 0,
        "options": "-c default_transaction_isolation=serializable -c statement_timeout=1 -c search_path=x"
        " -c DateStyle=german -c IntervalStyle=sql_standard -c TimeZone=Asia/Kathmandu",
    },
}
STATE = (
    "SELECT current_user::text = session_user AND current_setting('role') = 'none' AND"
    " coalesce(current_setting('pymeter.credential', true), '') = '' AND pg_backend_pid() NOT IN"
    " (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND pid IS NOT NULL) AS clean,"
    " current_setting('client_encoding') AS encoding, current_setting('DateStyle') AS style"
)


@pytest.mark.parametrize("kind", KINDS)
def test_it_works_on_any_connections_and_leaves_them_as_they_were(
    metered: Ledger, roles: Roles, server: Server, kind: str
) -> None:
    keys = {level: new_key(metered, level) for level in ("read", "write")}
    event = {"subject": SNOWMAN, "metric": "tokens", "quantity": "1.5", "idempotency_key": "k"}
    dsn = make_conninfo(roles.dsn, user=server.role, password=PASSWORD)

    async def state(pool: AsyncConnectionPool[Any]) -> Any:
        async with pool.connection() as connection:
            row = await (await connection.execute(STATE)).fetchone()
            factories = connection.row_factory, connection.cursor_factory, connection.prepare_threshold
            return row, factories, connection.autocommit

    async def run() -> tuple[list[httpx.Response], bool]:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            dsn, kwargs=KINDS[kind], min_size=1, max_size=1, open=False
        )
        async with pool:
            before = await state(pool)
            transport = httpx.ASGITransport(app(pool), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:

                async def ask(method: str, path: str, level: str, value: Any = None) -> httpx.Response:
                    headers = {"Authorization": f"Bearer {keys[level]}"}
                    return await client.request(method, path, json=value, headers=headers)

                answers = [
                    await ask("POST", "/v1/events", "write", event),
                    await ask("POST", "/v1/events?strict=1", "write", [event]),
                    await ask("GET", f"/v1/rpc/usage?subject={SNOWMAN}&metric=tokens", "read"),
                    await ask("GET", "/v1/rpc/usage?subject=nobody&metric=nothing", "read"),
                    await ask("GET", "/health/ready", "read"),
                    await ask("GET", "/metrics", "read"),
                ]
            return answers, before == await state(pool)

    answers, as_before = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 200, 200], answers
    assert (answers[0].json()["outcome"], answers[1].json()[0]["outcome"]) == ("recorded", "duplicate")
    assert (answers[2].json()["quantity"], answers[4].json()["ready"]) == ("1.5", True)
    assert as_before


def test_a_request_that_is_cancelled_leaves_nothing_of_its_role(
    metered: Ledger, roles: Roles, server: Server
) -> None:
    """In the middle of a statement, which waits for a lock."""
    write = {"Authorization": f"Bearer {new_key(metered, 'write')}"}
    dsn = make_conninfo(roles.dsn, user=server.role, password=PASSWORD, application_name="cancelled")
    before = metered.usage("acct_1", "tokens", period="never").quantity

    async def run() -> tuple[Any, Any]:
        async with AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False) as pool:
            transport = httpx.ASGITransport(app(pool), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                event = {"subject": "acct_1", "metric": "tokens", "quantity": 1}
                with metered.connection.transaction():
                    metered.execute("SELECT FROM meter.series FOR UPDATE")
                    task = asyncio.create_task(client.post("/v1/events", json=event, headers=write))
                    waiting = (
                        "SELECT count(*) FROM pg_stat_clear_snapshot(), pg_stat_activity"
                        " WHERE application_name = 'cancelled' AND wait_event_type = 'Lock'"
                    )
                    async with asyncio.timeout(20):
                        while not metered.value(waiting):
                            await asyncio.sleep(0.02)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                async with pool.connection() as connection:
                    row = await (await connection.execute(STATE)).fetchone()
                return row, (await client.post("/v1/events", json=event, headers=write)).json()

    state, recorded = asyncio.run(run())
    assert state[0]
    assert recorded["outcome"] == "recorded"
    assert metered.usage("acct_1", "tokens", period="never").quantity == before + 1

"""Large, slow and many requests are refused soon; every SQLSTATE has its status; a monitor sees how it is."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import fastapi
import httpx
import pytest
from psycopg.conninfo import make_conninfo

from pymeter.web import app, observing
from pymeter.web.problems import STATUSES, status_of
from tests.access.conftest import PASSWORD, Roles
from tests.helpers import Ledger
from tests.keys.conftest import Server
from tests.web.conftest import Api, running

EVENT = {"subject": "acct_1", "metric": "tokens", "quantity": 1}


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        *[(code, 400) for code in ("22004", "22023", "22P02", "22021", "54000")],
        *[("28000", 401), ("UM003", 402), ("42501", 403), ("UM001", 404), ("UM007", 404)],
        *[("UM002", 409), ("UM004", 409), ("UM005", 409), ("UM006", 410), ("UM008", 421)],
        *[(code, 503) for code in ("40001", "40P01", "53300", "08006", "55P03", "57P01", "42883", None)],
        *[("57014", 504), ("XX000", 500), ("P0001", 500)],
    ],
)
def test_every_sqlstate_has_its_status(sqlstate: str | None, status: int) -> None:
    assert status_of(sqlstate) == status
    assert status in STATUSES


def test_a_body_that_is_too_large_is_refused(served: Callable[..., Api]) -> None:
    api = served(max_bytes=1000)
    fits = "{" + " " * 998 + "}"
    assert api.post("/v1/rpc/catalog", fits, "read").status_code == 200
    for content in (fits + " ", iter([b"{", b" " * 999, b"}"])):
        answer = api.client.post("/v1/rpc/catalog", content=content, headers=api.bearer("read"))
        assert (answer.status_code, answer.json()["title"]) == (413, "the body is too large")


def test_a_slow_client_holds_no_connection_to_the_database(served: Callable[..., Api]) -> None:
    api = served(body_seconds=1.0, connections=1, waiting=1, wait_seconds=0.3)
    host, port = api.base.removeprefix("http://").split(":")
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n"
        f"Authorization: Bearer {api.key('write')}\r\n\r\n{{"
    )
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    for one in slow:
        one.sendall(head.encode())
    assert api.post("/v1/events", EVENT).status_code == 200
    for one in slow:
        one.settimeout(10)
        assert one.recv(100).startswith(b"HTTP/1.1 408")
        one.close()


def test_without_a_free_connection_the_answer_is_503_at_once(
    served: Callable[..., Api], metered: Ledger
) -> None:
    api = served(connections=1, waiting=1, wait_seconds=0.3, statement_seconds=3)
    assert api.post("/v1/events", EVENT).status_code == 200
    with metered.connection.transaction():
        metered.execute("SELECT FROM meter.series FOR UPDATE")

        def send(_: int) -> tuple[int, float, str | None]:
            began = time.monotonic()
            answer = httpx.post(f"{api.base}/v1/events", json=EVENT, headers=api.bearer("write"), timeout=20)
            return answer.status_code, time.monotonic() - began, answer.headers.get("retry-after")

        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(send, range(6)))
    # One waits for the row until its time is over; all others are told at once.
    slow = [one for one in found if one[1] > 2]
    assert len(slow) == 1
    assert slow[0][0] in (503, 504)
    assert {(status, after) for status, _, after in found if (status, after) != slow[0][::2]} <= {(503, "1")}
    assert api.post("/v1/events", EVENT).status_code == 200


def test_it_can_be_mounted_into_fastapi(metered: Ledger, roles: Roles, server: Server) -> None:
    outer = fastapi.FastAPI()
    outer.mount("/meter", app(make_conninfo(roles.dsn, user=server.role, password=PASSWORD)))
    with running(outer) as base:
        api = Api(base, metered)
        assert api.post("/meter/v1/events", EVENT).json()["outcome"] == "recorded"
        assert api.get("/meter/openapi.json").json()["servers"] == [{"url": "/meter"}]
        assert api.get("/meter/nothing").headers["content-type"] == "application/problem+json"
        api.client.close()


def test_a_monitor_sees_how_it_is(
    api: Api, metered: Ledger, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "_KEPT_SECONDS", 0)
    assert api.client.get("/health/live").json() == {"live": True}
    assert api.client.get("/health/ready").json() == {"ready": True, "problems": []}
    metered.execute("DELETE FROM meter.maintenance")
    sick = api.client.get("/health")
    assert (sick.status_code, sick.json()["problems"]) == (503, ["maintain() has never run"])
    metered.upkeep()
    assert api.client.get("/health").json() == {"healthy": True, "problems": []}
    api.get("/v1/rpc/catalog")
    api.get("/v1/rpc/nothing")
    api.get("/nothing/at/all")
    lines = api.client.get("/metrics").text
    assert 'pymeter_http_requests_total{route="/v1/rpc/{function}",status="200"} 1.0' in lines
    assert 'pymeter_http_requests_total{route="none",status="404"} 1.0' in lines
    assert "pymeter_reservations_open" not in lines
    assert "pymeter_reservations_open 0.0" in api.get("/metrics").text
    assert api.get("/metrics", level="write").status_code == 403
    assert api.client.get("/metrics", headers={"Authorization": "Bearer pm_live_1_0"}).status_code == 401
    metered.call("revoke_access", role=server.role)
    answer = api.client.get("/health/ready")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)


def test_a_database_that_is_away_is_503(metered: Ledger) -> None:
    with running(app("host=127.0.0.1 port=1 dbname=x connect_timeout=2", wait_seconds=0.5)) as base:
        api = Api(base, metered)
        began = time.monotonic()
        answer = api.post("/v1/events", EVENT)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert api.client.get("/health/ready").status_code == 503
        assert api.client.get("/health/live").status_code == 200
        assert time.monotonic() - began < 10
        api.client.close()


def test_who_asks_for_health_without_a_key_takes_one_connection_at_most(
    served: Callable[..., Api], metered: Ledger
) -> None:
    api = served(connections=2, waiting=1, wait_seconds=0.3, statement_seconds=3)
    assert api.get("/v1/rpc/resolve_window", period="month").status_code == 200
    with ThreadPoolExecutor(8) as pool, metered.connection.transaction():
        metered.execute("LOCK TABLE meter.maintenance")
        asking = [pool.submit(httpx.get, f"{api.base}/health", timeout=20) for _ in range(8)]
        time.sleep(0.5)
        assert {api.get("/v1/rpc/resolve_window", period="month").status_code for _ in range(5)} == {200}
        # All get the answer to the one question: its lock was not given in time.
        assert {one.result().status_code for one in asking} <= {503, 504}


def test_an_answer_that_is_too_large_is_refused_and_nothing_is_changed(
    served: Callable[..., Api], metered: Ledger
) -> None:
    api = served(max_answer_bytes=2000)
    before = metered.usage("acct_1", "tokens", period="never").quantity
    many = [EVENT | {"metadata": {"n": n}} for n in range(40)]
    assert api.post("/v1/events", many[:2]).status_code == 200
    for path in ("/v1/events", "/v1/rpc/record_batch"):
        answer = api.post(path, many if path == "/v1/events" else {"events": many})
        assert (answer.status_code, answer.json()["sqlstate"]) == (400, "54000"), answer.text
        assert answer.json()["hint"]
    assert metered.usage("acct_1", "tokens", period="never").quantity == before + 2
    metered.record("acct_1", "tokens", 1, metadata={"x": "x" * 2000})
    assert api.get("/v1/rpc/events", subject="acct_1", max_rows=1).json()["sqlstate"] == "54000"
    assert api.get("/v1/rpc/usage", subject="acct_1", metric="tokens").status_code == 200

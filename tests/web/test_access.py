"""A key may do over HTTP what its level says; whoever has none may do nothing, and is slowed down."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from psycopg.conninfo import make_conninfo
from starlette.requests import Request

from pymeter.web import app, embed_token
from pymeter.web.auth import FailedAttempts, credential_of
from pymeter.web.problems import Problem
from tests.access.conftest import PASSWORD, Roles
from tests.helpers import Ledger
from tests.keys.conftest import credential, new_key, token
from tests.web.conftest import Api, running


def test_a_bound_key_and_a_token_read_their_subject_only(api: Api, metered: Ledger) -> None:
    key = new_key(metered, "read", subject="acct_1")
    for bearer in (key, embed_token(key, "acct_1", timedelta(minutes=1))):
        headers = {"Authorization": f"Bearer {bearer}"}
        mine = api.client.get("/v1/rpc/own_usage?subject=acct_1&metric=tokens", headers=headers)
        assert (mine.status_code, mine.json()["quantity"]) == (200, "5")
        other = api.client.get("/v1/rpc/own_usage?subject=acct_2&metric=tokens", headers=headers)
        assert (other.status_code, other.json()["sqlstate"]) == (403, "42501")
        assert other.json()["hint"]
        assert api.client.post("/v1/events", json={}, headers=headers).status_code in (400, 403)


def test_without_a_valid_key_everything_is_401(api: Api, metered: Ledger) -> None:
    key = new_key(metered, "read")
    good = embed_token(key, "acct_1", timedelta(minutes=1))
    for value in (
        None,
        "",
        "Bearer",
        f"Basic {key}",
        f"Bearer {key}x",
        f"Bearer {key[:-1]}{'0' if key[-1] != '0' else '1'}",
        f"Bearer {credential(key)}",  # what a log of the database may show
        f"Bearer {good[:-1]}{'0' if good[-1] != '0' else '1'}",
        "Bearer pm_live_1_' OR true",
        "Bearer \u00e9".encode(),
        "Bearer " + "x" * 10_000,
    ):
        headers = {} if value is None else {"Authorization": value}
        for path in ("/v1/rpc/catalog", "/v1/rpc/usage", "/v1/rpc/catalog?token=" + good):
            answer = api.client.get(path, headers=headers)  # type: ignore[arg-type]
            # Of a key in the right form, a wrong argument is told before the database is asked.
            wanted = {401, 429} if value is None or path.endswith("catalog") else {400, 401, 429}
            assert answer.status_code in wanted, (value, answer.text)
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.json()["sqlstate"] == "28000"
    assert api.client.get("/v1/rpc/catalog", headers={"Authorization": f"bearer  {key}"}).status_code == 429


def test_an_address_that_fails_often_is_refused_and_an_accepted_key_is_not(
    served: Callable[..., Api], metered: Ledger
) -> None:
    api = served(failed_attempts=5)
    used, unused = api.key("read"), api.key("admin")
    assert api.get("/v1/rpc/catalog").status_code == 200

    def attempt(key: str) -> httpx.Response:
        return api.client.get("/v1/rpc/catalog", headers={"Authorization": f"Bearer {key}"})

    wrong = [attempt(f"pm_live_1_{n:064x}").status_code for n in range(8)]
    assert wrong == [401] * 5 + [429] * 3
    limited = attempt(unused)
    assert limited.status_code == 429
    assert 0 < int(limited.headers["retry-after"]) <= 61
    assert attempt(used).status_code == 200
    # Once it is revoked, it is like any other.
    metered.call("revoke_api_key", key_id=int(used.split("_")[2]))
    assert [attempt(used).status_code for _ in range(2)] == [401, 429]


def test_attempts_are_counted_in_a_window_and_in_bounded_memory() -> None:
    clock = [0.0]
    attempts = FailedAttempts(2, 60, addresses=10, clock=lambda: clock[0])
    for _ in range(2):
        attempts.check("a", None)
        attempts.failed("a", None)
    with pytest.raises(Problem):
        attempts.check("a", None)
    attempts.check("b", None)
    clock[0] = 60.1
    attempts.check("a", None)
    attempts.failed("a", None)
    attempts.check("a", None)
    for n in range(100):
        attempts.failed(f"address {n}", None)
        attempts.accepted(f"credential {n}")
    assert len(attempts._failed) == len(attempts._accepted) == 10


def test_the_addresses_of_an_ipv6_network_are_one() -> None:
    attempts = FailedAttempts(2, 60)
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2"):
        attempts.check(address, None)
        attempts.failed(address, None)
    with pytest.raises(Problem):
        attempts.check("2001:db8:1:2:3:4:5:6", None)
    for other in ("2001:db8:1:3::1", "192.0.2.1", "::ffff:192.0.2.1", "testclient", ""):
        attempts.check(other, None)
        attempts.failed(other, None)
    attempts.failed("::ffff:192.0.2.1", None)
    with pytest.raises(Problem):
        attempts.check("192.0.2.1", None)


def test_a_token_that_has_expired_is_no_attempt(served: Callable[..., Api], metered: Ledger) -> None:
    """A page that stays open sends it for ever: others at its address would be refused."""
    api = served(failed_attempts=2)
    key = new_key(metered, "read")

    def attempt(valid_for: float) -> httpx.Response:
        bearer = token(key, "acct_1", valid_for)
        return api.client.get(
            "/v1/rpc/own_usage?subject=acct_1&metric=tokens", headers={"Authorization": f"Bearer {bearer}"}
        )

    assert [attempt(-90 - n).status_code for n in range(5)] == [401] * 5
    assert attempt(60).status_code == 200
    # Only the database knows whether one has just expired: clocks differ.
    assert [attempt(-1 - n).status_code for n in range(3)] == [401, 401, 429]


def test_a_token_in_the_query_is_for_pages_and_a_key_is_not() -> None:
    def request(query: str) -> Request:
        return Request({"type": "http", "query_string": query.encode(), "headers": []})

    key = "pm_live_1_" + "0" * 64
    token = embed_token(key, "acct_1", timedelta(minutes=1))
    assert credential_of(request(f"token={token}"), in_query=True) == token
    for query, in_query in ((f"token={token}", False), (f"token={key}", True), ("", True)):
        with pytest.raises(Problem):
            credential_of(request(query), in_query=in_query)


def test_a_token_needs_a_key_a_subject_and_a_time() -> None:
    key = "pm_live_1_" + "0" * 64
    for given in (("nothing", "a", 1), (key, " ", 1), (key, "a", 0)):
        with pytest.raises(ValueError, match=r"key|subject|valid_for"):
            embed_token(given[0], given[1], timedelta(seconds=given[2]))


def test_a_server_without_a_role_for_a_level_accepts_no_key_of_it(metered: Ledger, roles: Roles) -> None:
    login, reader = roles.new("login", options="LOGIN NOINHERIT"), roles.new("read", options="NOLOGIN")
    roles.sql("GRANT {} TO {}", reader, login)
    with running(app(make_conninfo(roles.dsn, user=login, password=PASSWORD))) as base:
        api = Api(base, metered)
        assert api.get("/v1/rpc/catalog").status_code == 200
        for answer in (
            api.post("/v1/events", {"subject": "a", "metric": "tokens", "quantity": 1}),
            api.post("/v1/rpc/catalog", {}, "write"),
        ):
            assert (answer.status_code, answer.json()["sqlstate"]) == (403, "42501")
        assert api.post("/v1/rpc/record", {}).status_code == 404
        api.client.close()


def test_when_a_key_was_used_is_noted_for_reading_too(api: Api, metered: Ledger) -> None:
    before = time.time()
    assert api.get("/v1/rpc/catalog").status_code == 200
    (key,) = metered.call("api_keys")
    assert abs(key.last_used_at.timestamp() - before) < 30


@pytest.mark.parametrize(
    ("function", "level", "needed"),
    [
        ("usage", "write", "pymeter key create read --name NAME"),
        ("record", "read", "pymeter key create write --name NAME"),
        ("set_limit", "read", "pymeter key create admin --name NAME"),
        ("own_usage", "read", "pymeter key create read --subject SUBJECT"),
    ],
)
def test_a_key_of_another_level_is_told_how_to_create_the_right_one(
    api: Api, metered: Ledger, function: str, level: str, needed: str
) -> None:
    given = {"metric": "tokens"} | ({"quota": 1} if function == "set_limit" else {"subject": "a"})
    answer = api.post(f"/v1/rpc/{function}", given, level)
    assert (answer.status_code, answer.json()["sqlstate"]) == (403, "42501")
    assert needed in answer.json()["hint"]

"""Signing in to the pages with keys, and what a page of another site can make a browser do."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from pymeter.web.pages.sessions import SECONDS, Held, Sessions
from tests.access.conftest import Roles
from tests.helpers import Ledger
from tests.keys.conftest import Server
from tests.web.conftest import Api, running

Serve = Callable[..., Api]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def sign_in(api: Api, key: str, back: str = "", **headers: str) -> httpx.Response:
    content = urlencode({"key": key, "back": back})
    return api.client.post("/sign-in", content=content, headers=FORM | headers)


def form_token(api: Api) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', api.client.get("/").text)
    assert found is not None
    return found[1]


def post(api: Api, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    return api.client.post(path, content=urlencode(fields), headers=FORM | (headers or {}))


def test_a_key_opens_the_pages_and_is_on_none_of_them(api: Api) -> None:
    assert api.client.get("/").headers["location"] == "/sign-in?back=%2F"
    key = api.key("read")
    answer = sign_in(api, key, back="/prices?plan=pro")
    assert (answer.status_code, answer.headers["location"]) == (303, "/prices?plan=pro")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    page = api.client.get("/")
    assert page.status_code == 200
    assert key not in cookie + page.text
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_a_cookie_is_marked_for_https_there(api: Api) -> None:
    assert "Secure" not in sign_in(api, api.key("read")).headers["set-cookie"]
    forwarded = sign_in(api, api.key("read"), **{"X-Forwarded-Proto": "https"})
    assert "Secure" in forwarded.headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "pm_live_1_" + "0" * 61, "secret", "pm_live_x", "\0"])
def test_a_wrong_key_opens_nothing(api: Api, key: str) -> None:
    answer = sign_in(api, key)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text


def test_failed_attempts_are_counted_here_too(served: Serve) -> None:
    api = served(failed_attempts=3)
    assert [sign_in(api, f"pm_live_1_{n:061}").status_code for n in range(4)] == [401, 401, 401, 429]


def test_a_key_of_one_subject_is_for_the_customers_page(api: Api) -> None:
    assert sign_in(api, api.key("read", "acct_1")).status_code == 401


def test_each_key_adds_its_level(api: Api) -> None:
    sign_in(api, api.key("read"))
    first = api.client.get("/").text
    sign_in(api, api.key("report"))
    second = api.client.get("/").text
    assert ("(read)" in first, "(report)" in first) == (True, False)
    assert ("(read)" in second, "(report)" in second) == (True, True)


def test_a_page_that_needs_another_level_says_which(api: Api) -> None:
    sign_in(api, api.key("report"))
    answer = api.client.get("/")
    assert answer.status_code == 403
    assert "level read" in answer.text


def test_a_revoked_key_closes_the_pages(api: Api) -> None:
    sign_in(api, api.key("read"))
    assert api.client.get("/").status_code == 200
    api.ledger.call("revoke_api_key", key_id=int(api.key("read").split("_")[2]))
    assert api.client.get("/").headers["location"].startswith("/sign-in")
    assert api.client.get("/prices").status_code == 303


def test_a_level_that_the_server_has_lost_meanwhile_closes_its_pages_and_no_others(
    api: Api, roles: Roles, server: Server
) -> None:
    sign_in(api, api.key("read"))
    sign_in(api, api.key("report"))
    assert api.client.get("/reporting").status_code == 200
    roles.sql("REVOKE {} FROM {}", server.of_level["report"], server.role)
    lost = api.client.get("/reporting")
    assert lost.status_code == 403
    assert "this server accepts no keys of this level" in lost.text
    assert api.client.get("/prices").status_code == 200


def test_signing_out_ends_it_for_who_has_copied_the_cookie(api: Api) -> None:
    sign_in(api, api.key("read"))
    ((name, copied),) = api.client.cookies.items()
    post(api, "/sign-out")
    assert api.client.get("/", headers={"Cookie": f"{name}={copied}"}).status_code == 303


def test_signing_in_gives_the_cookie_another_name(api: Api) -> None:
    sign_in(api, api.key("read"))
    ((name, before),) = api.client.cookies.items()
    sign_in(api, api.key("admin"))
    assert api.client.get("/", headers={"Cookie": f"{name}={before}"}).status_code == 303


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/\n", "evil"]
)
def test_signing_in_leads_to_no_other_site(api: Api, back: str) -> None:
    assert sign_in(api, api.key("read"), back=back).headers["location"] == "/"


def test_a_form_of_another_site_does_nothing(api: Api) -> None:
    sign_in(api, api.key("read"))
    token = form_token(api)
    fields = {"timezone": "Asia/Tokyo"}
    assert post(api, "/time-zone", form_token=token, **fields).status_code == 303
    for headers, given in (
        ({}, ""),
        ({}, "x" * len(token)),
        ({}, "\xe9"),
        ({"Origin": "https://evil.example"}, token),
        ({"Origin": "null"}, token),
        ({"Sec-Fetch-Site": "cross-site"}, token),
    ):
        answer = post(api, "/time-zone", headers, form_token=given, timezone="Europe/Berlin")
        assert answer.status_code == 403, (headers, given)
    assert api.client.get("/time-zone").status_code == 405
    assert "Asia/Tokyo" in api.client.get("/").text


def test_an_address_with_a_code_signs_in_whoever_has_it(served: Serve, api: Api) -> None:
    other = served(start=("a-code", (api.key("read"), api.key("report"))))
    assert other.client.get("/start/another").status_code == 404
    assert other.client.get("/start/a-code").status_code == 303
    assert "(report)" in other.client.get("/").text
    assert api.client.get("/start/a-code").status_code == 404
    assert api.client.get("/start/").status_code == 404


def test_who_is_signed_in_is_forgotten_after_hours_and_beyond_a_number() -> None:
    now = 0.0
    sessions = Sessions(2, clock=lambda: now)

    def new() -> str:
        response = Response()
        sessions.add(_request(""), response, Held("credential", 1, "name", "read"))
        return response.headers["set-cookie"].partition(";")[0]

    first, second, third = new(), new(), new()
    assert [sessions.of(_request(cookie)) is not None for cookie in (first, second, third)] == [0, 1, 1]
    now = SECONDS
    assert sessions.of(_request(third)) is None


def test_whoever_signs_in_again_and_again_with_one_key_signs_out_nobody_with_another() -> None:
    sessions = Sessions(10, most_of_key=3)

    def new(key_id: int) -> str:
        response = Response()
        sessions.add(_request(""), response, Held("credential", key_id, "name", "read"))
        return response.headers["set-cookie"].partition(";")[0]

    operator = new(1)
    others = [new(2) for _ in range(30)]
    assert sessions.of(_request(operator)) is not None
    assert [sessions.of(_request(cookie)) is not None for cookie in others[-4:]] == [0, 1, 1, 1]


def test_sessions_that_have_ended_make_room_before_those_that_have_not() -> None:
    now = 0.0
    sessions = Sessions(2, clock=lambda: now)

    def new(request: Request) -> str:
        response = Response()
        sessions.add(request, response, Held("credential", 1, "name", "read"))
        return response.headers["set-cookie"].partition(";")[0]

    ended = new(_request(""))
    now = SECONDS
    going_on = new(_request(""))
    new(_request(""))
    found = [sessions.of(_request(cookie)) is not None for cookie in (ended, going_on)]
    assert found == [False, True]


def _request(cookie: str) -> Request:
    headers = [(b"cookie", cookie.encode()), (b"host", b"here")]
    return Request({"type": "http", "headers": headers, "path": "/", "query_string": b"", "scheme": "http"})


def test_mounted_under_a_path_all_links_have_it(api: Api, metered: Ledger) -> None:
    with mounted(api) as client:
        assert client.get("/meter/").headers["location"] == "/meter/sign-in?back=%2F"
        content = urlencode({"key": api.key("read"), "back": "/prices"})
        answer = client.post("/meter/sign-in", content=content, headers=FORM)
        assert answer.headers["location"] == "/meter/prices"
        assert "Path=/meter" in answer.headers["set-cookie"]
        page = client.get("/meter/").text
        links = re.findall(r'(?:href|action)="(/[^"]*)"', page)
        assert links
        assert [link for link in links if not link.startswith("/meter/")] == []
        assert client.get("/meter/pages.css").status_code == 200


@contextmanager
def mounted(api: Api) -> Iterator[httpx.Client]:
    site = Starlette(routes=[Mount("/meter", api.application)])
    with running(site) as base, httpx.Client(base_url=base) as client:
        yield client


def test_what_is_shown_is_what_the_shown_statement_returns(api: Api, metered: Ledger) -> None:
    metered.define("odd", "sum", "unit", name='<script>alert("1")</script>')
    sign_in(api, api.key("read"))
    page = api.client.get("/").text
    assert "<script" not in page
    for statement in map(html.unescape, re.findall(r"<code>(SELECT .*?)</code>", page, re.DOTALL)):
        assert metered.rows(statement) is not None, statement
    lines = api.client.get("/?csv=metrics").text.splitlines()
    assert len(lines) == 1 + len(metered.call("catalog"))
    assert api.client.get("/?csv=nothing").status_code == 404


def test_an_address_that_is_none_is_a_page_with_the_way_home_for_a_person(api: Api) -> None:
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    stranger = api.client.get("/nosuch", headers=html)
    assert (stranger.status_code, stranger.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert '<a href="/">To the first page</a>' in stranger.text
    sign_in(api, api.key("read"))
    assert '<a href="/">To the overview</a>' in api.client.get("/nosuch?a=b", headers=html).text
    with mounted(api) as client:
        assert '<a href="/meter/">' in client.get("/meter/nosuch", headers=html).text
    for path, headers in (("/nosuch", {}), ("/v1/nosuch", html), ("/health/nosuch", html)):
        answer = api.client.get(path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")

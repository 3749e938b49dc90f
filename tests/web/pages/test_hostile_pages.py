"""What is odd in an address, a form or data is answered with a page: whole, bounded, of the right subject."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import pytest
from psycopg.types.json import Jsonb

from pymeter.web import embed_token
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in, words
from tests.web.pages.customers import HUGE, fill, serving
from tests.web.pages.reading import Page, rows_of_csv

LEVELS = ("read", "report", "admin", "approve")
PAGES = (
    "/",
    "/prices",
    "/subjects",
    "/totals",
    "/subject?subject=acct_1",
    "/subject/invoice?subject=acct_1",
    "/subject/limits?subject=acct_1",
    "/subject/statements?subject=acct_1",
    "/events?subject=acct_1",
    "/all-events",
    "/corrections",
    "/statements",
    "/late-usage",
    "/reporting",
    "/notifications",
)
UNSAFE = "=<img src=x onerror=alert(1)>"
ZONES = ("America/New_York", "Asia/Tokyo", "Asia/Kathmandu")


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> Iterator[Api]:
    with serving(module_dsn) as api:
        fill(api.ledger)
        yield api


@pytest.fixture
def browser(filled: Api) -> httpx.Client:
    return signed_in(filled, *LEVELS)


def embedded(api: Api, **query: Any) -> httpx.Response:
    token = embed_token(api.key("read"), "acct_1", timedelta(hours=1))
    return httpx.get(f"{api.base}/embed/usage", params={"token": token, **query}, timeout=30)


def in_zone(browser: httpx.Client, zone: str) -> None:
    (form,) = [one for one in Page(browser.get("/prices")).forms if one["action"] == "/time-zone"]
    answer = browser.post("/time-zone", data=form | {"timezone": zone})
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["path", "root", "self", "query", "name", "value", "request"])
def test_no_name_in_a_query_breaks_a_page(filled: Api, browser: httpx.Client, name: str) -> None:
    for path in PAGES:
        assert browser.get(path, params={**httpx.URL(path).params, name: "x"}).status_code == 200, path
    assert embedded(filled, **{name: "x"}).status_code == 200
    assert browser.get(f"/subject?{name}=x").status_code == 400


@pytest.mark.parametrize("path", ["/subject?subject=%ff", "/events?subject=acct_1%80", "/prices?plan=%c3"])
def test_a_query_that_is_not_utf_8_is_about_no_other_subject(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 400


def test_an_embedded_page_needs_utf_8_too(filled: Api) -> None:
    token = embed_token(filled.key("read"), "acct_1", timedelta(hours=1))
    assert httpx.get(f"{filled.base}/embed/usage?token={token}&timezone=%ff").status_code == 400


def test_no_answer_is_kept_by_a_cache(filled: Api, browser: httpx.Client) -> None:
    for path in (*PAGES, "/?csv=metrics", "/subject/invoice/print?subject=acct_1", "/nowhere?csv=x"):
        answer = browser.get(path)
        if answer.status_code != 404:
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert answer.headers["referrer-policy"] == "same-origin", path
    assert embedded(filled, csv="usage").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("origin", ["null", "http://[", "http://[x]", "x", "", "http://127.0.0.1:1"])
def test_an_odd_origin_is_a_foreign_one(filled: Api, browser: httpx.Client, origin: str) -> None:
    forms = Page(browser.get("/prices")).forms
    (form,) = [one for one in forms if one["action"] == "/time-zone"]
    answer = browser.post("/time-zone", data=form | {"timezone": "UTC"}, headers={"Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("zone", ZONES)
def test_the_ends_of_the_calendar_are_answered_in_every_zone(browser: httpx.Client, zone: str) -> None:
    in_zone(browser, zone)
    times = (
        "0001-01-01",
        "9999-12-31",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
    )
    for time in times:
        for path in (
            "/totals?metric=tokens&",
            "/events?subject=acct_1&metric=tokens&",
            "/all-events?",
            "/prices?a=team&b=team&until=2026-01-01&",
        ):
            for name in ("since", "until"):
                answer = browser.get(path + urlencode({name: time}))
                assert answer.status_code in (200, 400), (path, name, time, words(answer.text))
        answer = browser.get("/subject/invoice?subject=acct_1&" + urlencode({"at": time}))
        assert answer.status_code in (200, 400), (time, words(answer.text))


def test_a_time_of_a_form_stays_the_same_instant_where_clocks_go_back(browser: httpx.Client) -> None:
    in_zone(browser, "Europe/Berlin")
    for time in ("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"):
        shown = Page(browser.get("/totals", params={"metric": "tokens", "since": time}))
        (form,) = [one for one in shown.forms if one.get("since")]
        again = Page(browser.get("/totals", params={"metric": "tokens", "since": form["since"]}))
        expected = datetime.fromisoformat(time).astimezone(UTC)
        used = [one for one in again.statements if "totals(" in one]
        (text,) = {one.partition("since => '")[2].partition("'")[0] for one in used}
        assert datetime.fromisoformat(text) == expected


def test_an_uncertain_push_is_not_sent_again_by_a_form_that_does_not_say_so(browser: httpx.Client) -> None:
    token = next(one["form_token"] for one in Page(browser.get("/prices")).forms if "form_token" in one)
    for given in ({}, {"delivered": ""}, {"delivered": "True"}):
        answer = browser.post("/push/resolve", data={"form_token": token, "identifier": "x", **given})
        assert answer.status_code == 400
        assert "delivered" in words(answer.text)


@pytest.mark.parametrize("zone", ["UTC", *ZONES])
def test_quantities_of_many_digits_are_shown(filled: Api, browser: httpx.Client, zone: str) -> None:
    in_zone(browser, zone)
    filled.ledger.call("set_limit", metric="drops", quota=3, subject="acct_1", period="cycle")
    for path in (*PAGES, "/subject?subject=acct_1&metric=drops", "/totals?metric=drops"):
        assert browser.get(path).status_code == 200, path
    assert HUGE in browser.get("/subject?subject=acct_1&csv=summary").text
    assert embedded(filled, timezone=zone).status_code == 200


def test_a_table_has_a_bound_however_large_its_rows_are(module_dsn: str, filled: Api) -> None:
    large = Jsonb({"text": "x" * 60_000})
    for n in range(40):
        filled.ledger.record("large", "calls", idempotency_key=f"k{n}", metadata=large)
    with serving(module_dsn, max_answer_bytes=1 << 20) as api:
        browser = signed_in(api, *LEVELS)
        for path in ("/events?subject=large", "/events?subject=large&csv=events", "/all-events?csv=events"):
            answer = browser.get(path)
            assert answer.status_code == 400, path
            assert "the answer is too large" in words(answer.text)
        assert browser.get("/subjects").status_code == 200
        # A part that is too large is said to be, and the rest is shown.
        assert browser.get("/prices").status_code == 200
    browser = signed_in(filled, *LEVELS)
    assert len(browser.get("/events?subject=large&csv=events").content) > 40 * 60_000
    assert browser.get("/").status_code == 200


def test_a_metric_of_any_name_has_pages_and_files_that_do_nothing_else(
    filled: Api, browser: httpx.Client
) -> None:
    name = '=1+1"\u05e9<img src=x>\u202e;/'
    filled.ledger.define(name, "sum", UNSAFE, name=UNSAFE)
    given = {"idempotency_key": "@k", "metadata": Jsonb({UNSAFE: "=cmd()"})}
    filled.ledger.record("=unsafe()", name, 1, **given)
    filled.ledger.call("set_limit", metric=name, quota=3, subject="=unsafe()", period="cycle")
    of = {"subject": "=unsafe()", "metric": name}
    for path in (*PAGES, "/subject", "/subject/limits", "/subject/invoice", "/events", "/totals"):
        answer = browser.get(path, params={**httpx.URL(path).params, **of, "by": UNSAFE})
        assert answer.status_code == 200, path
        assert "<img" not in answer.text, path
        assert "\u202e" not in words(answer.text), path
        for table in {unescape(one) for one in re.findall(r'href="(\?[^"]*csv=[^"]*)"', answer.text)}:
            file = browser.get(path, params=httpx.URL(table).params)
            assert file.status_code == 200, (path, table)
            disposition = file.headers["content-disposition"]
            assert re.fullmatch(r'attachment; filename="[A-Za-z0-9._-]+"', disposition), disposition
            cells = [one for row in csv.reader(io.StringIO(file.text)) for one in row]
            # A minus is also that of a negative number, which is no formula.
            assert [one for one in cells if one[:1] in ("=", "+", "@")] == [], (path, table)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Asia/Kolkata", "America/St_Johns", "UTC"])
def test_the_hours_of_a_chart_are_whole_where_they_begin_at_half_past(
    filled: Api, browser: httpx.Client, zone: str
) -> None:
    in_zone(browser, zone)
    rows = rows_of_csv(browser, "/subject", "series", subject="acct_1", metric="tokens", span="2d")
    starts = [datetime.fromisoformat(row["bucket_start"]).astimezone(ZoneInfo(zone)) for row in rows]
    assert len(rows) == 48
    assert {start.minute for start in starts} == {0}

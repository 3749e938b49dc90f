"""What the pages of subjects show is what the functions answer: the SELECT that they show, and the CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.helpers import Ledger
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in, statements, words
from tests.web.pages.customers import BEFORE, HOSTILE, HUGE, MONTH, NOW, fill, serving
from tests.web.pages.reading import read


@pytest.fixture(scope="module")
def served(module_dsn: str) -> Iterator[Api]:
    with serving(module_dsn) as api:
        fill(api.ledger)
        yield api


@pytest.fixture(scope="module")
def filled(served: Api) -> Ledger:
    """For tests that change nothing in it."""
    return served.ledger


@pytest.fixture
def browser(served: Api) -> httpx.Client:
    return signed_in(served, "read")


@pytest.fixture
def empty(meter_dsn: str) -> Iterator[Api]:
    """A meter that nobody has used."""
    with serving(meter_dsn) as api:
        yield api


def of(path: str, **query: Any) -> str:
    return f"{path}?{urlencode(query)}"


def pages(subject: str) -> list[str]:
    return [
        "/subjects",
        of("/totals", metric="tokens"),
        of("/totals", metric="tokens", since=MONTH.isoformat(), until=NOW.isoformat()),
        of("/subject", subject=subject),
        of("/subject", subject=subject, metric="tokens", span="12m", by="model"),
        of("/subject", subject=subject, metric="calls", span="2d"),
        of("/subject", subject=subject, metric="drops", span="26w"),
        of("/subject/invoice", subject=subject),
        of("/subject/invoice", subject=subject, at=BEFORE.isoformat()),
        of("/subject/limits", subject=subject),
        of("/subject/statements", subject=subject),
        of("/events", subject=subject),
        of("/events", subject=subject, metric="tokens", since=MONTH.isoformat()),
        "/all-events",
    ]


def as_text(value: Any) -> str | None:
    """A value as a CSV has it; None for a document, which is not compared."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict | list):
        return None
    if isinstance(value, str) and value[:1] in "=+-@":
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_answer(lines: list[list[str]], ledger: Ledger, statement: str) -> bool:
    with ledger.connection.cursor() as cursor:
        rows = cursor.execute(statement.encode()).fetchall()
        names = [column.name for column in cursor.description or ()]
    if lines[0] != names or len(lines) != len(rows) + 1:
        return False
    return all(
        text in (cell, None)
        for line, row in zip(lines[1:], rows, strict=True)
        for cell, text in zip(line, map(as_text, row), strict=True)
    )


@pytest.mark.parametrize("subject", ["acct_1", HOSTILE], ids=["ordinary", "hostile"])
def test_every_table_is_the_answer_of_a_select_that_the_page_shows(
    browser: httpx.Client, filled: Ledger, subject: str
) -> None:
    compared = 0
    for path in pages(subject):
        answer = browser.get(path)
        assert answer.status_code == 200, (path, answer.text)
        found = statements(answer.text)
        assert found, path
        for name in set(re.findall(r"[?&;]csv=([a-z-]+)\"", answer.text)):
            file = browser.get(f"{path}{'&' if '?' in path else '?'}csv={name}")
            assert file.status_code == 200, (path, name, file.text)
            lines = list(csv.reader(io.StringIO(file.text)))
            assert any(is_answer(lines, filled, one) for one in found), (path, name, lines, found)
            compared += len(lines) - 1
    assert compared > 20


def test_no_page_changes_anything(browser: httpx.Client, filled: Ledger) -> None:
    before = filled.rows("SELECT * FROM meter.admin_log()"), filled.state()
    for path in pages("acct_1"):
        assert browser.get(path).status_code == 200
    assert before == (filled.rows("SELECT * FROM meter.admin_log()"), filled.state())


def test_names_are_text_and_never_markup(browser: httpx.Client) -> None:
    for path in pages(HOSTILE):
        answer = browser.get(path)
        assert "<script" not in answer.text
        assert "\u202e" not in words(answer.text), path
        assert "script-src" not in answer.headers["content-security-policy"]
    found = browser.get("/subjects").text
    (link,) = [href for href in re.findall(r'href="(/subject\?[^"]*)"', found) if "script" in href]
    assert "&lt;script&gt;" in browser.get(link.replace("&amp;", "&")).text


def test_usage_is_shown_against_the_limit_that_binds(browser: httpx.Client, filled: Ledger) -> None:
    quota = filled.call("check_quota", subject="acct_1", metric="tokens")[0]
    assert (quota.used, quota.quota, quota.held, quota.remaining) == (170, 250, 25, 105)
    text = words(browser.get(of("/subject", subject="acct_1")).text)
    assert "170 token" in text
    assert "of 250 token and 50 of top-ups; 105 left, 25 held." in text
    assert f"{Decimal(HUGE):,f} drop" in text
    bar = re.search(
        r'aria-label="57 % used, 8 % held">.*?width="([\d.]+)".*?x="([\d.]+)" width="([\d.]+)"',
        browser.get(of("/subject", subject="acct_1")).text,
        re.DOTALL,
    )
    assert bar is not None
    assert [Decimal(one) for one in bar.groups()] == [Decimal("56.67"), Decimal("56.67"), Decimal("8.33")]


def test_a_mark_that_is_reached_and_an_overrun_have_a_word(empty: Api) -> None:
    fill(empty.ledger)
    filled, browser = empty.ledger, signed_in(empty, "read")
    assert "approaching" not in browser.get(of("/subject", subject="acct_1")).text
    filled.record("acct_1", "tokens", 40)
    assert "approaching" in browser.get(of("/subject", subject="acct_1")).text
    assert "acct_1 Tokens 210 of 250 token per cycle" in words(browser.get("/subjects").text)
    filled.record("acct_1", "tokens", 100, overflow=True)
    text = words(browser.get(of("/subject", subject="acct_1")).text)
    assert "of 250 token and 50 of top-ups; 35 beyond it, 25 held." in text
    assert "acct_1" in words(browser.get("/subjects").text.split('id="subjects"')[0])


def test_an_invoice_leads_to_its_tiers_and_to_their_events(browser: httpx.Client, filled: Ledger) -> None:
    page = browser.get(of("/subject/invoice", subject="acct_1")).text
    tiers = [line for line in filled.call("invoice", subject="acct_1") if line.item == "tokens"]
    assert [(tier.quantity, tier.amount) for tier in tiers] == [(100, 10), (70, Decimal("3.50"))]
    text = words(page)
    assert "units 1 to 100: 100 x 0.1" in text
    assert "units 101 to 170: 70 x 0.05" in text
    assert "10.00 EUR" in text
    assert "3.50 EUR" in text
    (total,) = [line for line in filled.call("invoice", subject="acct_1") if line.kind == "total"]
    assert f"Total {total.amount} EUR" in text
    link = next(
        href.replace("&amp;", "&")
        for href in re.findall(r'href="(/events\?[^"]*)"', page)
        if "metric=tokens" in href
    )
    events = browser.get(link)
    text = words(events.text)
    assert f"170 token from {tiers[0].event_count} events" in text
    for row in filled.call("events", subject="acct_1", metric="tokens", since=MONTH):
        assert f"event {row.event_id}" in text
    assert "takes back event" in text
    assert "replaces event" in text


def test_an_earlier_cycle_has_no_projection_and_a_later_one_cannot_be_chosen(browser: httpx.Client) -> None:
    running = browser.get(of("/subject/invoice", subject="acct_1")).text
    assert "Next cycle" not in running
    assert "project_invoice" in running
    (earlier,) = re.findall(r'href="([^"]*)">Previous cycle', running)
    before = browser.get(earlier.replace("&amp;", "&")).text
    assert f"Cycle {BEFORE:%Y-%m-%d} to {MONTH:%Y-%m-%d}" in words(before)
    assert "project_invoice" not in before
    assert "Next cycle" in before


def test_the_invoice_to_print_has_the_same_total(browser: httpx.Client, filled: Ledger) -> None:
    (total,) = [line for line in filled.call("invoice", subject="acct_1") if line.kind == "total"]
    answer = browser.get(of("/subject/invoice/print", subject="acct_1"))
    assert answer.status_code == 200
    assert f"{total.amount}" in answer.text
    assert "Draft" in answer.text


def test_limits_and_what_adds_to_them_and_statements(browser: httpx.Client, filled: Ledger) -> None:
    text = words(browser.get(of("/subject/limits", subject="acct_1")).text)
    assert "shadowed" in text
    assert "gift" in text
    (held,) = filled.call("reservations", subject="acct_1")
    assert f"{held.reservation_id} r Tokens 25" in text
    text = words(browser.get(of("/subject/statements", subject="acct_1")).text)
    (statement,) = filled.call("statements", subject="acct_1")
    assert f"{statement.totals['EUR']} EUR" in text
    (late,) = filled.call("late_usage", subject="acct_1")
    assert late.delta == 3
    assert f"{late.amount} EUR" in text


def test_a_field_of_the_metadata_divides_the_usage(browser: httpx.Client, filled: Ledger) -> None:
    path = of("/subject", subject="acct_1", metric="tokens")
    page = browser.get(path).text
    assert "by=model" in page
    text = words(browser.get(f"{path}&by=model").text)
    for row in filled.call("usage_by", subject="acct_1", metric="tokens", dimension="model", period="cycle"):
        assert f"{row.value} " in text
        assert f"{row.quantity:,f} {row.event_count}" in text


def test_a_subject_without_events_is_told(browser: httpx.Client) -> None:
    answer = browser.get(of("/subject", subject="ACCT_1"))
    assert answer.status_code == 200
    assert "No event of this subject is in the log." in words(answer.text)
    for path in ("/subject/invoice", "/subject/limits", "/subject/statements", "/events"):
        assert browser.get(of(path, subject="ACCT_1")).status_code == 200


def test_pages_follow_the_readers_time_zone(served: Api, filled: Ledger) -> None:
    browser = signed_in(served, "read")
    token = re.findall(r'name="form_token" value="([^"]*)"', browser.get("/").text)[0]
    browser.post("/time-zone", data={"form_token": token, "timezone": "Asia/Kathmandu", "back": "/"})
    found = statements(browser.get(of("/totals", metric="tokens", period="day")).text)
    assert any("timezone => 'Asia/Kathmandu'" in one and "totals" in one for one in found)
    found = statements(browser.get(of("/subject", subject="acct_1", metric="tokens")).text)
    (series,) = [one for one in found if ".series(" in one]
    (first, *_) = filled.rows(series.replace("%", "%%"))
    assert f"{first.bucket_start.astimezone(UTC):%H:%M}" == "18:15"


BAD = [
    ("/subject", 400, "subject is missing"),
    ("/subject?subject=%20", 400, "subject is missing"),
    ("/subject?subject=a&metric=nothing", 404, "UM001"),
    ("/subject?subject=acct_1&span=9y", 400, "span is unknown"),
    ("/subject/invoice?subject=a&at=then", 400, "at is not a time"),
    ("/totals?metric=nothing", 404, "UM001"),
    ("/totals?since=2026-02-01&until=2026-01-01", 400, "22023"),
    ("/totals?period=fortnight", 400, "period is unknown"),
    ("/events?subject=a&after_id=x", 400, "22P02"),
    ("/events?subject=a%00b", 400, "NUL"),
    ("/all-events?metric=nothing", 404, "UM001"),
    ("/subjects?csv=nothing", 404, "no such table"),
]


def test_a_bad_question_is_a_page_that_says_why(browser: httpx.Client) -> None:
    for path, status, word in BAD:
        answer = browser.get(path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"].startswith("text/html")
        assert word in words(answer.text), path


def test_what_was_typed_can_be_corrected_beside_the_message(browser: httpx.Client) -> None:
    page = read(browser, "/totals", metric="tokens", since="10 days", until="2026-12-01")
    assert "since is not a time" in page.text
    (form,) = [form for form in page.forms if form["action"] == "/totals"]
    assert form == {"action": "/totals", "metric": "tokens", "until": "2026-12-01", "since": "10 days"}
    assert "since" not in read(browser, "/totals", metric="nothing", since="2026-12-01").forms[-1]


def test_a_key_of_another_level_shows_which_one_is_missing(served: Api) -> None:
    browser = signed_in(served, "report")
    for path in pages("acct_1"):
        answer = browser.get(path)
        assert answer.status_code == 403
        assert "needs a key of the level read" in words(answer.text)
        assert "acct_1" not in answer.text.split("<main")[1].split('class="foot"')[0]


def test_without_a_key_nothing_is_shown(served: Api) -> None:
    for path in pages("acct_1"):
        answer = httpx.get(served.base + path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")


def test_an_empty_meter_says_what_to_do(empty: Api) -> None:
    browser = signed_in(empty, "read")
    for path in ("/subjects", "/totals", "/all-events", "/subject?subject=a", "/subject/limits?subject=a"):
        assert browser.get(path).status_code == 200, path
    assert "define_metric" in words(browser.get("/totals").text)
    assert "meter.record" in words(browser.get("/subjects").text)


def follow(browser: httpx.Client, path: str) -> list[str]:
    """The pages that Next page leads to."""
    found = []
    while True:
        page = browser.get(path).text
        found.append(page)
        following = re.findall(r'<p class="more"><a href="(\?[^"]*)"', page)
        if not following:
            return found
        assert len(found) < 20
        path = path.split("?")[0] + following[0].replace("&amp;", "&")


def test_pages_tile_the_rows(empty: Api) -> None:
    ledger, browser = empty.ledger, signed_in(empty, "read")
    ledger.define("tokens", "sum", "token")
    names = [f"s {n:03} " for n in range(120)]
    rows = [
        {
            "subject": name,
            "metric": "tokens",
            "quantity": 1,
            "at": (NOW - timedelta(seconds=n // 3)).isoformat(),
        }
        for n, name in enumerate(names)
    ]
    ledger.batch(rows)
    ledger.batch([{**rows[0], "at": MONTH.isoformat(), "idempotency_key": f"{n}"} for n in range(150)])
    for path, cell in (
        ("/subjects", r'<a href="/subject\?subject=([^"&]*)"><bdi>'),
        ("/totals?metric=tokens", r'<a href="/subject\?subject=([^"&]*)&amp;metric=tokens"'),
    ):
        found = [name for page in follow(browser, path) for name in re.findall(cell, page)]
        assert sorted(found) == sorted(name.replace(" ", "+") for name in names)
    for path, number in ((of("/events", subject=names[0]), 151), ("/all-events", 270)):
        shown = [one for page in follow(browser, path) for one in re.findall(r"<bdi>event (\d+)</bdi>", page)]
        assert len(shown) == len(set(shown)) == number

"""All pages of ``pymeter demo --web`` as a browser shows them: skipped without Chromium or Playwright."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

BUSIEST = "amber-labs"
LONGEST_START = 60
PATHS = {
    "overview": "/",
    "subjects": "/subjects",
    "totals": "/totals?metric=tokens&period=week",
    "subject": f"/subject?subject={BUSIEST}",
    "invoice": f"/subject/invoice?subject={BUSIEST}",
    "limits": f"/subject/limits?subject={BUSIEST}",
    "events": f"/events?subject={BUSIEST}&metric=tokens",
    "corrections": "/corrections",
    "correction": "/correction?id=2",
    "statements": "/statements",
    "statement": "/statement?id=1",
    "late usage": "/late-usage",
    "a line of late usage": "/late-line?statement=1&metric=tokens",
    "a push": "/push?biller=stripe&id=1",
    "an address that is none": "/nosuch",
    "a quantity that is none": "/prices?plan=pro&item=tokens&quantity=abc",
    "a time that is none": "/totals?since=yesterday",
    "reporting": "/reporting",
    "notifications": "/notifications",
    "prices": "/prices?plan=pro&item=tokens&quantity=250000",
    "what if": "/prices?"
    + urlencode({"a": "pro", "b": "team", "since": "2026-01-01", "until": "2027-01-01"}),
    "a subject that is unknown": "/subject?subject=nobody",
    "an error": "/statement?id=999",
    "sign in": "/sign-in",
}
SERIOUS = ("moderate", "serious", "critical")


@dataclass(frozen=True)
class Site:
    """Where it is, and the two addresses that were printed."""

    base: str
    start: str
    embed: str


@pytest.fixture(scope="module")
def site(module_dsn: str) -> Iterator[Site]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pymeter", "--dsn", module_dsn, "demo", "--web", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = []
        for line in process.stdout:
            found += re.findall(r"http://\S+", line)
            if "Ctrl-C" in line:
                break
        base = f"http://127.0.0.1:{port}"
        until = time.monotonic() + LONGEST_START
        while time.monotonic() < until:
            try:
                httpx.get(f"{base}/health/live")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield Site(base, found[0], found[1])
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as programs:
        started = programs.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=["with JavaScript", "without JavaScript"])
def page(request: pytest.FixtureRequest, browser: Any, site: Site) -> Iterator[Any]:
    """A page of an operator that is signed in."""
    context = browser.new_context(java_script_enabled=request.param == "with JavaScript")
    found = context.new_page()
    found.goto(site.start)
    yield found
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_every_page_fits_is_accessible_and_asks_nobody_else(
    browser: Any, site: Site, scheme: str, width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.start)
    found = {}
    for name, path in {**PATHS, "customer": site.embed.removeprefix(site.base)}.items():
        page.goto(site.base + path)
        sideways = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        violations = axe.Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in violations if one["impact"] in SERIOUS]
        if sideways > 0 or serious:
            found[name] = (sideways, serious)
    context.close()
    assert found == {}
    assert [url for url in asked if not url.startswith((site.base, "data:", "blob:"))] == []
    # Of the pages that are errors, a browser says so.
    assert [text for text in said if "status of 4" not in text] == []


def test_an_operator_signs_in_with_a_key_and_out(browser: Any, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.base}/subjects")
    assert page.url.startswith(f"{site.base}/sign-in?back=")
    page.get_by_label("Key").fill("pm_live_1_" + "0" * 61)
    page.get_by_role("button", name="Sign in").click()
    assert "unknown" in page.get_by_role("alert").inner_text()
    page.goto(site.start)
    page.get_by_role("button", name="Sign out").click()
    assert page.url == f"{site.base}/sign-in"
    page.goto(f"{site.base}/")
    assert page.url.startswith(f"{site.base}/sign-in")
    context.close()


def test_an_operator_finds_a_subject_and_why_it_is_charged(page: Any, site: Site) -> None:
    page.get_by_role("link", name="Subjects", exact=True).click()
    page.get_by_role("link", name=BUSIEST).first.click()
    assert page.get_by_role("heading", level=1).inner_text() == BUSIEST
    assert "Tokens" in page.content()


def test_an_operator_approves_a_correction_without_javascript(browser: Any, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.start)
    page.goto(f"{site.base}/corrections")
    page.get_by_role("row", name=re.compile("cached tokens")).get_by_role("link").first.click()
    page.get_by_text("Approve …").click()
    page.get_by_role("button", name=re.compile("Approve")).click()
    assert "approved" in page.get_by_role("status").inner_text()
    assert page.get_by_role("button", name=re.compile("Approve")).count() == 0
    context.close()


def test_an_operator_compares_two_plans(page: Any, site: Site) -> None:
    page.get_by_role("link", name="Prices").click()
    page.get_by_role("button", name="Compare").click()
    told = page.get_by_text("would pay more").inner_text()
    more, less = (int(one) for one in re.findall(r"\d+", told)[:2])
    assert more > 0 < less, "the sample has a plan for each kind of customer"


def test_the_sample_has_late_usage_that_waits(page: Any, site: Site) -> None:
    assert page.get_by_text(re.compile("late usage that is not decided: 1")).count() == 1
    page.goto(f"{site.base}/statements")
    page.get_by_role("link", name="Decide", exact=True).click()
    page.get_by_role("row", name=re.compile(BUSIEST)).get_by_role("link", name="Decide").click()
    assert "5,000 tokens" in page.content()
    page.goto(f"{site.base}/statement?id=1")
    assert page.get_by_role("row", name=re.compile("billed")).count() == 1


def test_tables_are_files_too(page: Any, site: Site) -> None:
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV of Metrics").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("key,aggregate,unit,")
    assert {line.split(",")[0] for line in lines[1:]} >= {"tokens", "seats"}


def test_a_customer_sees_its_own_usage_in_a_frame(browser: Any, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 800})
    page = context.new_page()
    page.goto(site.embed)
    assert BUSIEST in page.content()
    assert page.get_by_role("link", name="Sign in").count() == 0
    page.goto(site.embed[:-1] + ("0" if site.embed[-1] != "0" else "1"))
    assert "tokens" not in page.content().lower().replace("token", "", 2)
    context.close()

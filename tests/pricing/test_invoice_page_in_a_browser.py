"""An invoice's page as a browser shows and prints it: skipped without Chromium, or without Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pymeter.invoice_page import Draft, Letter, draft_page
from pymeter.models import Invoice, InvoiceHeader, InvoiceLine, InvoiceTotal

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

JUNE: dict[str, Any] = {"since": datetime(2026, 6, 1, tzinfo=UTC), "until": datetime(2026, 7, 1, tzinfo=UTC)}
ITEMS = 40
CONTRAST_MIN = 4.5
# The ratio of WCAG 2 between each text and what is behind it.
LOW_CONTRAST = """least => {
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = one => {
        for (; one; one = one.parentElement) {
            const color = parse(getComputedStyle(one).backgroundColor);
            if (color[3] !== 0) return color;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('main *')]
        .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .map(one => {
            const pair = [parse(getComputedStyle(one).color), behind(one)].map(light);
            const [dark, bright] = pair.sort((a, b) => a - b);
            return [one.textContent.trim(), (bright + 0.05) / (dark + 0.05)];
        })
        .filter(([, ratio]) => ratio < least);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as programs:
        started = programs.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long invoice with long words and numbers in it."""
    lines = [
        InvoiceLine(kind="usage", item=f"item {n}", metric="tokens", quantity=Decimal(quantity), unit="token",
                    unit_amount=Decimal("0.0000125"), amount=Decimal("12.50"), currency="EUR", plan="pro",
                    explanation=f"units {tier} to {quantity}", tier=tier, **JUNE)
        for n in range(ITEMS) for tier, quantity in ((1, "1000"), (2, "123456789.123456"))
    ]  # fmt: skip
    lines.append(
        lines[0].model_copy(update={"item": "a" * 150, "unit": "b" * 60, "amount": Decimal(10) ** 40})
    )
    found = Invoice(
        header=InvoiceHeader(subject="c" * 200, **JUNE),
        lines=lines,
        totals={"EUR": InvoiceTotal(exact_amount=Decimal("1000.00"), amount=Decimal("1000.00"))},
    )
    letter = Letter(["Example Ltd", "d" * 100], [], ["Payable within 14 days."])
    path = tmp_path_factory.mktemp("page") / "invoice.html"
    draft = Draft("The period has not ended.", JUNE["since"])
    path.write_text(draft_page(found, draft, letter), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_it_is_read_without_scrolling_sideways(browser: Any, file: Path, width: int, scheme: str) -> None:
    asked: list[str] = []
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    edges = "[...document.querySelectorAll('data')].map(one => one.getBoundingClientRect().right)"
    assert max(page.evaluate(edges)) <= width
    assert page.evaluate(LOW_CONTRAST, CONTRAST_MIN) == []
    assert (asked, said) == ([file.as_uri()], [])
    ground = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    page.close()


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_paper_is_light_and_each_sheet_has_the_head_of_the_table(
    browser: Any, file: Path, paper: str
) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(file.as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
    assert page.evaluate("getComputedStyle(document.querySelector('.item')).breakInside") == "avoid"
    assert page.evaluate(LOW_CONTRAST, CONTRAST_MIN) == []
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 35, 51)"
    sheets = len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format=paper)))
    assert 3 <= sheets <= ITEMS / 4
    page.close()

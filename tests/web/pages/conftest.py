"""Somebody who looks at the pages."""

from __future__ import annotations

import re
from html import unescape

import httpx

from tests.web.conftest import Api


def signed_in(api: Api, *levels: str) -> httpx.Client:
    """A browser that has signed in with a key of each level."""
    browser = httpx.Client(base_url=api.base, timeout=30)
    for level in levels:
        answer = browser.post("/sign-in", data={"key": api.key(level), "back": "/"})
        assert answer.status_code == 303, answer.text
    return browser


def statements(html: str) -> list[str]:
    """The SELECTs that a page shows."""
    return [unescape(one) for one in re.findall(r"<pre><code>(SELECT .*?)</code></pre>", html, re.DOTALL)]


def words(html: str) -> str:
    """What is read on a page: without tags, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())

"""A browser that has signed in, without JavaScript, and what is on a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.web.conftest import Api

_opened: list[httpx.Client] = []


def signed_in(api: Api, *levels: str) -> httpx.Client:
    """A client that has signed in with a key of each level. It follows redirects."""
    client = httpx.Client(base_url=api.base, follow_redirects=True, timeout=30)
    _opened.append(client)
    for level in levels:
        assert client.post("/sign-in", data={"key": api.key(level)}).status_code != 401
    return client


def statements(html: str) -> list[str]:
    """The SELECTs that a page shows."""
    return [unescape(one) for one in re.findall(r"<pre><code>(SELECT .*?)</code></pre>", html, re.DOTALL)]


def words(html: str) -> str:
    """What is read on a page: without tags, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    """Close what signed_in() has opened."""
    yield
    while _opened:
        _opened.pop().close()

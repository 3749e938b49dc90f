"""A browser that has signed in, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    """Close what signed_in() has opened."""
    yield
    while _opened:
        _opened.pop().close()

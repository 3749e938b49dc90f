"""A browser that has signed in, without JavaScript."""

from __future__ import annotations

import httpx

from tests.web.conftest import Api


def signed_in(api: Api, *levels: str) -> httpx.Client:
    """A client that has signed in with a key of each level. It follows redirects."""
    client = httpx.Client(base_url=api.base, follow_redirects=True, timeout=30)
    for level in levels:
        assert client.post("/sign-in", data={"key": api.key(level)}).status_code != 401
    return client

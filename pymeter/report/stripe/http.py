"""The HTTP client of stripe-python: the connections of ``requests`` without its session.

A session merges settings, cookies, hooks and the environment into every call, which takes as long as the call
itself. Importing this module needs the extra ``stripe``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import requests.adapters
import requests.utils
import stripe
from requests.structures import CaseInsensitiveDict

_CONNECT_SECONDS_MAX = 10.0


class Connections(stripe.HTTPClient):
    """Keeps up to `connections` connections to `base` open, through the environment's proxy if there is one.

    Redirects are not followed (a redirected POST would become a GET, whose 200 proves nothing), and a .netrc
    does not replace the key.
    """

    name = "requests"

    def __init__(self, base: str, timeout: float, connections: int) -> None:
        super().__init__()
        self._timeout = (min(timeout, _CONNECT_SECONDS_MAX), timeout)
        self._proxies = requests.utils.get_environ_proxies(base)
        self._adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=connections)

    def request(  # type: ignore[override]  # stripe's own clients return bytes too
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Make one call. Every failure is an APIConnectionError; its cause has the details."""
        call = requests.PreparedRequest()
        call.method, call.url, call.body = method.upper(), url, post_data
        call.headers = CaseInsensitiveDict(headers or {})
        call.headers["Content-Length"] = str(len(post_data or ""))
        try:
            answer = self._adapter.send(
                call, timeout=self._timeout, verify=stripe.ca_bundle_path, proxies=self._proxies
            )
            return answer.content, answer.status_code, answer.headers
        except Exception as error:
            message = f"no answer: {type(error).__name__}"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

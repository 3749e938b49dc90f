"""Connections to a biller: those of ``requests`` without its session.

A session merges settings, cookies, hooks and the environment into every call, which takes as long as the call
itself. Importing this module needs ``requests``, which every extra with a biller brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import requests.adapters
import requests.utils
from requests.structures import CaseInsensitiveDict

_CONNECT_SECONDS_MAX = 10.0


class Connections:
    """Keeps up to `connections` connections to `base` open, through the environment's proxy if there is one.

    Redirects are not followed (a redirected POST would become a GET, whose 200 proves nothing), nothing is
    sent twice, and a .netrc does not replace the key. `verify` is True, or the file of the authorities.
    """

    def __init__(self, base: str, timeout: float, connections: int, *, verify: bool | str = True) -> None:
        self._timeout = (min(timeout, _CONNECT_SECONDS_MAX), timeout)
        self._verify = verify
        self._proxies = requests.utils.get_environ_proxies(base)
        self._adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=connections)

    def call(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: Any = None
    ) -> requests.Response:
        """Make one call. Without a whole answer it raises what ``requests`` raises."""
        call = requests.PreparedRequest()
        call.method, call.url, call.body = method.upper(), url, body
        call.headers = CaseInsensitiveDict(headers or {})
        call.headers["Content-Length"] = str(len(body or ""))
        return self._adapter.send(call, timeout=self._timeout, verify=self._verify, proxies=self._proxies)

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

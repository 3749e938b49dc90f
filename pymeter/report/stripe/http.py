"""The HTTP client of stripe-python. Importing this module needs the extra ``stripe``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

from pymeter.report.http import Connections


class StripeConnections(stripe.HTTPClient):
    """Connections of pymeter's own kind, in the form that stripe-python asks for."""

    name = "requests"

    def __init__(self, base: str, timeout: float, connections: int) -> None:
        super().__init__()
        self._connections = Connections(base, timeout, connections, verify=stripe.ca_bundle_path)

    def request(  # type: ignore[override]  # stripe's own clients return bytes too
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Make one call. Every failure is an APIConnectionError; its cause has the details."""
        try:
            answer = self._connections.call(method, url, headers, post_data)
            return answer.content, answer.status_code, answer.headers
        except Exception as error:
            message = f"no answer: {type(error).__name__}"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

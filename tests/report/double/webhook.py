"""Thin events as they are delivered: the payload without its data, and the signature of its text."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Webhook:
    """One delivery: hand both to the code under test, or send them to it."""

    payload: str
    signature: str

    def deliver(self, url: str, *, timeout: float = 10) -> int:
        """POST it as Stripe does; returns the status. A refusal raises urllib.error.HTTPError."""
        headers = {"Content-Type": "application/json", "Stripe-Signature": self.signature}
        request = urllib.request.Request(url, self.payload.encode(), headers)
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return int(response.status)


def webhook(event: dict[str, Any], secret: str, *, at: float | None = None) -> Webhook:
    """The delivery of a core event, signed ``at`` that second (now, by the real clock, unless said)."""
    payload = json.dumps({name: value for name, value in event.items() if name != "data"}, indent=2)
    return Webhook(payload, sign(payload, secret, int(time.time() if at is None else at)))


def sign(payload: str, secret: str, at: int) -> str:
    """The ``Stripe-Signature`` header: HMAC-SHA256 over the second, a full stop and the payload."""
    digest = hmac.new(secret.encode(), f"{at}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"

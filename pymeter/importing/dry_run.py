"""An import that records nothing: what its batches, each rolled back, would have come to together."""

from __future__ import annotations

import hashlib
from decimal import Decimal, DecimalException
from typing import Any

from pymeter import exact_json
from pymeter.models import BatchOutcome


class DryRun:
    """Remembers the keys of the batches before, since the ledger has forgotten them."""

    def __init__(self) -> None:
        self._first: dict[bytes, bytes] = {}

    def outcome(self, event: dict[str, Any], answer: BatchOutcome) -> str:
        """The outcome that the event would have, given the answer to its batch alone."""
        key = event.get("idempotency_key")
        if key is None or answer.outcome != "recorded":
            return answer.outcome
        place = exact_json.dumps([event.get("subject"), event.get("metric"), key])
        payload = _digest(_payload(event))
        first = self._first.setdefault(_digest(place), payload)
        if first is payload:
            return "recorded"
        return "duplicate" if first == payload else "conflict"


def _payload(event: dict[str, Any]) -> str:
    member, quantity = event.get("member"), event.get("quantity")
    if member is not None:
        return f"member {member}"
    try:
        number = Decimal(1 if quantity is None else str(quantity))
    except DecimalException:
        return str(quantity)
    return _canonical(number) if number.is_finite() else str(number)


def _canonical(number: Decimal) -> str:
    """One text for each number: 1, 1.0 and 1e0 are one. Decimal.normalize() would round to 28 digits."""
    if not number:
        return "0"
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits))
    significant = text.rstrip("0")
    return f"{'-' * sign}{significant.lstrip('0')}e{int(exponent) + len(text) - len(significant)}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16]

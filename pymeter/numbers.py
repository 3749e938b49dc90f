"""How numbers are written for people."""

from __future__ import annotations

from decimal import Decimal


def number(value: Decimal | int | None) -> str:
    """Exact, with thousands separators, without zeros at the end: 1,234.5."""
    if value is None:
        return "-"
    text = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    return text.rstrip("0").rstrip(".") if "." in text else text

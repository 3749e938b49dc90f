"""Events and entries that a call sends as objects of a JSON array."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from pymeter.calls import argument
from pymeter.errors import InvalidInput
from pymeter.models import is_number, trim

_INTEGER_BITS_MAX = 600  # more than any quantity may have, and few enough to be written as digits
_TIMES = ("at", "since", "until")


def row(parameter: str, noun: str, ordinal: int, given: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """The object of a model or mapping, with its quantity exact and its times in UTC.

    InvalidInput for a float, a time without a zone, and what is no mapping; it names the ordinal.
    """
    if isinstance(given, BaseModel):
        fields = given.model_dump(exclude_none=True)
    elif isinstance(given, Mapping):
        fields = dict(given)
    else:
        raise argument.refuse(
            parameter, f"an {noun} is not a mapping", f"Give dicts or {_MODELS[noun]}.", f"{noun} {ordinal}"
        )
    quantity = fields.get("quantity")
    try:
        if isinstance(quantity, float):
            argument.exact("quantity", quantity)
        elif isinstance(quantity, str):
            fields["quantity"] = trim(quantity)
        elif isinstance(quantity, Decimal):
            fields["quantity"] = _quantity_text(quantity)
        elif isinstance(quantity, int) and quantity.bit_length() > _INTEGER_BITS_MAX:
            fields["quantity"] = _beyond(quantity < 0)
        for name in _TIMES:
            if isinstance(time := fields.get(name), datetime):
                fields[name] = argument.aware(name, time).isoformat()
    except InvalidInput as exc:
        exc.detail = f"{noun} {ordinal}: {exc.detail}"
        raise
    return fields


_MODELS = {"event": "NewEvents", "entry": "VoidEntry, AmendEntry, AdjustEntry or RecordEntry"}


def _beyond(negative: bool, exponent: int = 999) -> str:
    """A number that SQL refuses in place of one that it could not even read."""
    return f"{'-' if negative else ''}1e{exponent}"


def _quantity_text(value: Decimal) -> str:
    """As a JSON string: exact, and NaN reaches the SQL function, which refuses it by name."""
    if not value.is_finite():
        return str(value)
    text = str(value) if value else "0"
    if not is_number(text) and "." in text and "E" not in text:
        text = text.rstrip("0")
    return text if is_number(text) else _beyond(value < 0, 999 if value.adjusted() > 0 else -999)

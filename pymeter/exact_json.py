"""JSON that keeps numbers exact: a Decimal is written and read back as a number, never as a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any
from uuid import UUID

_FAST = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> str:
    """JSON text of dicts, sequences and scalars. Dates become ISO 8601 strings, UUIDs strings.

    ValueError for NaN and infinity, and for a key or value that JSON has no form for.
    """
    try:
        return _FAST.encode(value)
    except TypeError:
        return _encode(value)


def _encode(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return _FAST.encode(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("NaN and infinity are not JSON numbers")
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(key)}:{_encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_encode, value)) + "]"
    if isinstance(value, datetime | date):
        return encode_basestring_ascii(value.isoformat())
    if isinstance(value, UUID):
        return encode_basestring_ascii(str(value))
    raise ValueError(f"a {type(value).__name__} has no form in JSON")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError("a key of a JSON object must be a string")
    return encode_basestring_ascii(key)


def _integer(text: str) -> int | Decimal:
    # Python refuses to parse integers of many thousand digits; PostgreSQL stores them.
    return int(text) if len(text) <= 4000 else Decimal(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=_integer, parse_constant=_no_constant)


def loads(text: str | bytes) -> Any:
    """The value of a JSON text; numbers that are not whole come back as Decimal."""
    return _DECODER.decode(text if isinstance(text, str) else text.decode())

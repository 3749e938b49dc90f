"""JSON that keeps numbers exact: a Decimal is written and read back as a number, never as a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any
from uuid import UUID


def dumps(value: Any) -> str:
    """JSON text of dicts, sequences and scalars. Dates become ISO 8601 strings, UUIDs strings.

    ValueError for NaN and infinity, and for a key or value that JSON has no form for.
    """
    try:
        return _FAST.encode(value)
    except TypeError:
        return _encode(value)


def _text(value: Any) -> str:
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError


_FAST = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_text)
"""Written in C, but it knows no way to write a Decimal as a number: then `_encode` takes over."""


def _encode(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("NaN and infinity are not JSON numbers")
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{_key(key)}:{_encode(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([_encode(item) for item in value]) + "]"
    try:
        return _FAST.encode(value)
    except TypeError:
        raise ValueError(f"a {type(value).__name__} has no form in JSON") from None


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

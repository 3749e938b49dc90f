"""JSON that keeps numbers exact: a Decimal is written and read back as a number, never as a float."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any
from uuid import UUID

_DEPTH_MAX = 200
_CONTAINERS = (dict, list, tuple, Mapping)
_BAD_ESCAPE = re.compile(r"\\u0000|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]")
_DIGITS_BEFORE_MAX = 131_072  # what numeric holds; digits after its last one would be lost
_DIGITS_AFTER_MAX = 16_383


def dumps(value: Any) -> str:
    """JSON text of dicts, sequences and scalars. Dates become ISO 8601 strings, UUIDs strings.

    ValueError for NaN and infinity, and for a key or value that JSON has no form for.
    """
    try:
        return _FAST.encode(value)
    except TypeError:
        return _encode(value)


class BadText(ValueError):
    """A text that PostgreSQL cannot store."""


def storable(value: Any) -> str:
    """`dumps()` of what jsonb can store.

    ValueError also for a NUL character, a lone surrogate, and nesting that a server could refuse.
    """
    text = dumps(value)
    if _has_bad_text(text):
        raise BadText("a text has a NUL character or a lone surrogate")
    if _may_be_deep(text, 0) and _is_deep(value):
        raise ValueError(f"it is nested more than {_DEPTH_MAX} levels deep")
    return text


def all_storable(values: Sequence[Any]) -> str | None:
    """The JSON array of objects that jsonb can store; None if it may refuse one of them."""
    try:
        text = dumps(values)
    except (ValueError, RecursionError):
        return None
    return None if _has_bad_text(text) or _may_be_deep(text, 2 * len(values)) else text


def _has_bad_text(text: str) -> bool:
    # An escaped backslash is no beginning of an escape.
    return "\\u" in text and _BAD_ESCAPE.search(text.replace("\\\\", "  ")) is not None


def _may_be_deep(text: str, containers: int) -> bool:
    """Whether a JSON text may be nested too deeply, by the number of its brackets."""
    return text.count("{") + text.count("[") > containers + _DEPTH_MAX


def _is_deep(value: Any) -> bool:
    """By levels: a call for each value would take seconds for 1 MiB."""
    level = [value]
    for _ in range(_DEPTH_MAX + 1):
        if not (containers := [one for one in level if isinstance(one, _CONTAINERS)]):
            return False
        level = [item for one in containers for item in (one.values() if isinstance(one, Mapping) else one)]
    return True


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
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int):
            raise ValueError("NaN and infinity are not JSON numbers")
        if exponent < -_DIGITS_AFTER_MAX or value.adjusted() >= _DIGITS_BEFORE_MAX:
            raise ValueError("a number has too many digits before or after the point")
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


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # its exponent is beyond what a Decimal can have
        raise ValueError("a number is too large") from None


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    """The first key that is there twice. In one pass: to count each key among all of 1 MiB takes minutes."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    return name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has the key {_repeated(pairs)!r:.80} twice")
    return found


_DECODER = json.JSONDecoder(parse_float=_fraction, parse_int=_integer, parse_constant=_no_constant)
_UNIQUE_DECODER = json.JSONDecoder(
    parse_float=_fraction, parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_unique
)


def loads(text: str | bytes) -> Any:
    """The value of a JSON text; numbers that are not whole come back as Decimal. ValueError if it is none."""
    return _DECODER.decode(text if isinstance(text, str) else text.decode())


def loads_unique(text: str) -> Any:
    """What `loads` returns; ValueError also for an object that has a key twice."""
    return _UNIQUE_DECODER.decode(text)


def raw_decode(text: str, position: int) -> tuple[Any, int]:
    """The JSON value that begins at `position`, as `loads_unique` reads it, and where it ends."""
    return _UNIQUE_DECODER.raw_decode(text, position)

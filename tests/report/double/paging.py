"""Pages of v1 lists: ``limit`` 1 to 100 with a default of 10, ``starting_after`` and ``ending_before``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import errors

_DEFAULT, _MAX = 10, 100


def page(items: Sequence[dict[str, Any]], params: dict[str, Any], url: str) -> dict[str, Any]:
    """One page of ``items``, which are in the order of the list."""
    limit = limit_of(params, default=_DEFAULT)
    if "ending_before" in params:
        before = items[: _position(items, params, "ending_before")]
        chosen, has_more = before[-limit:], len(before) > limit
    else:
        start = _position(items, params, "starting_after") + 1 if "starting_after" in params else 0
        chosen, has_more = items[start : start + limit], len(items) > start + limit
    return {"object": "list", "data": list(chosen), "has_more": has_more, "url": url}


def limit_of(params: dict[str, Any], *, default: int) -> int:
    text = params.get("limit", str(default))
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX):
        raise errors.invalid(f"Invalid limit: must be between 1 and {_MAX}.", param="limit")
    return int(text)


def _position(items: Sequence[dict[str, Any]], params: dict[str, Any], param: str) -> int:
    for index, item in enumerate(items):
        if item["id"] == params[param]:
            return index
    raise errors.invalid(f"No such object: '{params[param]}'", param=param, code="resource_missing")

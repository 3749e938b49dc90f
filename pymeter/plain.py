"""Values as JSON and CSV have them: nothing is rounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from pymeter import exact_json

_OWN_JSON = frozenset({"metadata", "data", "before", "after"})


def plain(value: Any) -> Any:
    """A model or value for JSON: quantities as strings, since most JSON readers would round a number."""
    if isinstance(value, BaseModel):
        # What is JSON already goes out as it came in.
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {
            name: item if name in _OWN_JSON and not isinstance(item, Decimal) else plain(item)
            for name, item in fields.items()
        }
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def cell(value: Any) -> Any:
    """A value for a cell of a CSV file: null is empty, lists and objects are JSON."""
    if isinstance(value, dict | list | bool):
        return exact_json.dumps(value)
    return plain(value)

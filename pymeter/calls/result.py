"""What the rows of a call become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from pymeter.models import Window

T = TypeVar("T")
Row = dict[str, Any]


def one(model: Callable[..., T]) -> Callable[[Sequence[Row]], T]:
    """The one row, as a `model`."""
    load = _loader(model)
    return lambda rows: load(rows[0])


def every(model: Callable[..., T]) -> Callable[[Sequence[Row]], list[T]]:
    """All rows, each as a `model`."""
    load: Callable[[Sequence[Row]], list[T]] = _loader(list[model])  # type: ignore[valid-type]
    return load


@cache
def _loader(type: Any) -> Callable[[Any], Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(type)
    return adapter.validate_python


def number(rows: Sequence[Row]) -> int:
    """The one value of the one row, a whole number."""
    (value,) = rows[0].values()
    return int(value)


def word(rows: Sequence[Row]) -> str:
    """The one value of the one row, a text."""
    (value,) = rows[0].values()
    return str(value)


def moment(rows: Sequence[Row]) -> datetime:
    """The one value of the one row, a time."""
    (value,) = rows[0].values()
    assert isinstance(value, datetime)
    return value.astimezone(UTC)


def truth(rows: Sequence[Row]) -> bool:
    """The one value of the one row, true or false."""
    (value,) = rows[0].values()
    return bool(value)


def nothing(rows: Sequence[Row]) -> None:
    """Nothing: the function returns void."""


def window(rows: Sequence[Row]) -> Window:
    """The one value of the one row, a range of time."""
    (value,) = rows[0].values()
    return Window(since=value.lower, until=value.upper)

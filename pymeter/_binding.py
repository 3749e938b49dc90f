"""What the two clients share besides the calls: how a result is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.json import JsonbBinaryLoader
from psycopg.types.numeric import NumericBinaryLoader

from pymeter import exact_json
from pymeter.calls.result import Row


class _ExactJsonbLoader(JsonbBinaryLoader):
    _loads = staticmethod(exact_json.loads)


def _dicts(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> Callable[[Sequence[Any]], Row]:
    """What psycopg's dict_row does, at half the cost; every call returns rows, in columns of ASCII names."""
    result = cursor.pgresult
    assert result is not None
    names = [result.fname(column).decode() for column in range(result.nfields)]  # type: ignore[union-attr]
    return lambda values: dict(zip(names, values))  # noqa: B905 - strict costs as much as the names


_EXACT = AdaptersMap(psycopg.adapters)
_EXACT.register_loader("numeric", NumericBinaryLoader)
_EXACT.register_loader("jsonb", _ExactJsonbLoader)


class _Exact:
    """Loads numbers exactly, also on a connection that was told to load them as floats.

    One map serves all cursors: registering loaders on each would cost more than the rest of it.
    """

    __slots__ = ()

    @property
    def adapters(self) -> AdaptersMap:
        """What every cursor converts values by, whatever its connection was told."""
        return _EXACT


class ExactCursor(_Exact, psycopg.Cursor[Row]):
    """A cursor whose rows are dicts of exact values."""

    __slots__ = ()

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection, row_factory=_dicts)


class AsyncExactCursor(_Exact, psycopg.AsyncCursor[Row]):
    """A cursor whose rows are dicts of exact values."""

    __slots__ = ()

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        super().__init__(connection, row_factory=_dicts)

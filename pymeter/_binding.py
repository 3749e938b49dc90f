"""What the two clients share besides the calls: how a result is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
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


class _AnyTextLoader(Loader):
    """Text of a connection whose client_encoding is SQL_ASCII, which says nothing about the bytes.

    psycopg returns bytes there. That must not make a result unreadable: what was recorded may be committed.
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data).decode(errors="backslashreplace")


_EXACT_OF_ANY_TEXT = AdaptersMap(_EXACT)
for _type in ("text", "varchar", "name", "bpchar"):
    _EXACT_OF_ANY_TEXT.register_loader(_type, _AnyTextLoader)


class _Exact:
    """Loads numbers exactly, also on a connection that was told to load them as floats.

    Maps serve all cursors: registering loaders on each would cost more than the rest of it.
    """

    __slots__ = ()
    _map: AdaptersMap

    @property
    def adapters(self) -> AdaptersMap:
        """What every cursor converts values by, whatever its connection was told."""
        return self._map


def _adapters(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> AdaptersMap:
    encoding = connection.pgconn.parameter_status(b"client_encoding")
    return _EXACT_OF_ANY_TEXT if encoding == b"SQL_ASCII" else _EXACT


class ExactCursor(_Exact, psycopg.Cursor[Row]):
    """A cursor whose rows are dicts of exact values."""

    __slots__ = ("_map",)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._map = _adapters(connection)
        super().__init__(connection, row_factory=_dicts)


class AsyncExactCursor(_Exact, psycopg.AsyncCursor[Row]):
    """A cursor whose rows are dicts of exact values."""

    __slots__ = ("_map",)

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._map = _adapters(connection)
        super().__init__(connection, row_factory=_dicts)

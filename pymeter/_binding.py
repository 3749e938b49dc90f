"""Reads results, for both clients."""

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
    """As psycopg's dict_row, at half the cost: every call returns rows, and column names are ASCII."""
    result = cursor.pgresult
    assert result is not None
    names = [result.fname(column).decode() for column in range(result.nfields)]  # type: ignore[union-attr]
    return lambda values: dict(zip(names, values))  # noqa: B905 - strict costs as much as the names


_EXACT = AdaptersMap(psycopg.adapters)
_EXACT.register_loader("numeric", NumericBinaryLoader)
_EXACT.register_loader("jsonb", _ExactJsonbLoader)


class _AnyTextLoader(Loader):
    """Text on a connection with client_encoding SQL_ASCII, whose bytes may be of any encoding.

    psycopg returns bytes there. The result must stay readable, because the event may be committed.
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data).decode(errors="backslashreplace")


_EXACT_OF_ANY_TEXT = AdaptersMap(_EXACT)
for _type in ("text", "varchar", "name", "bpchar"):
    _EXACT_OF_ANY_TEXT.register_loader(_type, _AnyTextLoader)


class _Exact:
    """Loads numbers exactly, even if the connection is configured to load floats.

    All cursors share the maps, because registering loaders on each cursor is expensive.
    """

    __slots__ = ()
    _map: AdaptersMap

    @property
    def adapters(self) -> AdaptersMap:
        """The adapters of every cursor, whatever its connection's are."""
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

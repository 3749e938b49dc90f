"""A call of a SQL function, as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, LiteralString, TypeVar

from psycopg import sql

from pymeter.calls.argument import Argument
from pymeter.calls.result import Row

T = TypeVar("T")


class Call(Generic[T]):
    """A call of one SQL function: its arguments, and how its rows are read as a ``T``.

    Optional arguments that are None are left out. Required ones are always sent; SQL refuses a null.
    """

    __slots__ = ("arguments", "function", "result")

    def __init__(
        self, function: LiteralString, arguments: Iterable[Argument], result: Callable[[Sequence[Row]], T]
    ) -> None:
        self.function = function
        self.arguments = [a for a in arguments if a.value is not None or a.required]
        self.result = result

    def __repr__(self) -> str:
        return f"Call({self.function!r}, {self.arguments!r})"

    @property
    def params(self) -> dict[str, Any]:
        """The values for the statement's placeholders."""
        return {a.name: a.value for a in self.arguments}

    def statement(self, schema: str) -> LiteralString:
        """``SELECT * FROM schema.function(name => %(name)s::type, ...)``."""
        return _statement(schema, self.function, tuple([(a.name, a.type) for a in self.arguments]))


@lru_cache(maxsize=512)
def _statement(
    schema: str, function: LiteralString, arguments: tuple[tuple[LiteralString, LiteralString], ...]
) -> LiteralString:
    named = ", ".join([f"{name} => %({name})s::{type}" for name, type in arguments])
    # psycopg reads % as the start of a placeholder, also inside a quoted identifier.
    quoted = sql.Identifier(schema).as_string(None).replace("%", "%%")
    return f"SELECT * FROM {quoted}.{function}({named})"

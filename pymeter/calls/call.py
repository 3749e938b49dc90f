"""A call of a SQL function, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, LiteralString, TypeVar

from psycopg import sql

from pymeter.calls.argument import Argument
from pymeter.calls.result import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of one SQL function: what is sent, and how its rows become a ``T``."""

    function: LiteralString
    arguments: tuple[Argument, ...]
    result: Callable[[Sequence[Row]], T] = field(repr=False)

    def statement(self, schema: str) -> sql.Composed:
        """``SELECT * FROM schema.function(name => %(name)s::type, ...)``."""
        return _statement(schema, self.function, tuple((a.name, a.type) for a in self.arguments if a.sent))

    @property
    def params(self) -> dict[str, Any]:
        """The values for the statement's placeholders."""
        return {argument.name: argument.value for argument in self.arguments if argument.sent}


@lru_cache(maxsize=512)
def _statement(
    schema: str, function: LiteralString, arguments: tuple[tuple[LiteralString, LiteralString], ...]
) -> sql.Composed:
    named = ", ".join([f"{name} => %({name})s::{type}" for name, type in arguments])
    # psycopg reads % as the start of a placeholder, also inside a quoted identifier.
    return sql.SQL("SELECT * FROM {}.{}").format(
        sql.Identifier(schema.replace("%", "%%")), sql.SQL(f"{function}({named})")
    )

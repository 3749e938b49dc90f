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
    """A call of one SQL function: what is sent, and how its rows become a ``T``.

    An optional argument that is None is left out. A required one is sent all the same: SQL refuses it by its
    own rule.
    """

    __slots__ = ("arguments", "function", "result")

    def __init__(
        self, function: LiteralString, arguments: Iterable[Argument], result: Callable[[Sequence[Row]], T]
    ) -> None:
        self.function = function
        self.arguments = [argument for argument in arguments if argument[2] is not None or argument[3]]
        self.result = result

    def __repr__(self) -> str:
        return f"Call({self.function!r}, {self.arguments!r})"

    @property
    def params(self) -> dict[str, Any]:
        """The values for the statement's placeholders."""
        return {name: value for name, _, value, _ in self.arguments}

    def statement(self, schema: str) -> LiteralString:
        """``SELECT * FROM schema.function(name => %(name)s::type, ...)``."""
        return _statement(schema, self.function, tuple([(name, type) for name, type, _, _ in self.arguments]))


@lru_cache(maxsize=512)
def _statement(
    schema: str, function: LiteralString, arguments: tuple[tuple[LiteralString, LiteralString], ...]
) -> LiteralString:
    named = ", ".join([f"{name} => %({name})s::{type}" for name, type in arguments])
    # psycopg reads % as the start of a placeholder, also inside a quoted identifier.
    quoted = sql.Identifier(schema).as_string(None).replace("%", "%%")
    return f"SELECT * FROM {quoted}.{function}({named})"

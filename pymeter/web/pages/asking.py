"""What a page asks the meter: one SELECT for each table or number, which the page shows as it was run."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

import psycopg
from psycopg import sql

from pymeter import exact_json
from pymeter._binding import AsyncExactCursor
from pymeter.calls.result import Row
from pymeter.levels import LEVELS
from pymeter.visible import visible
from pymeter.web.database import Connection, Database
from pymeter.web.pages.sessions import Held
from pymeter.web.problems import Problem, of_database

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_DIGITS_SHOWN = 100


@dataclass(frozen=True)
class Answer:
    """The rows of a statement; or why there are none."""

    statement: str
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    problem: Problem | None = None

    @property
    def row(self) -> Row:
        """The only row."""
        (row,) = self.rows
        return row


class Asker:
    """Calls functions in one transaction, each in the role of a key that may call it."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        keys: Mapping[str, Held],
        *,
        most_bytes: int,
        taken: str | None = None,
    ) -> None:
        """`most_bytes`: how large all answers together may be. `taken`: the level whose role is taken."""
        self._database = database
        self._connection = connection
        self._keys = keys
        self._level = taken
        self._left = most_bytes

    def may(self, function: str) -> bool:
        """Whether somebody has signed in with a key whose level has the function."""
        return LEVELS[function] in self._keys

    async def ask(self, function: str, **arguments: Any) -> Answer:
        """The answer. Raises Problem: 403 if nobody has signed in with a key of the right level, and 400 if
        the answers together are too large: an exception, so that a function which changes something has not.
        """
        statement = statement_of(self._database.schema, function, arguments)
        await self._take_role_of(function)
        cursor = AsyncExactCursor(self._connection)
        try:
            rows = await self._rows(cursor, statement)
        except psycopg.Error as error:
            raise of_database(error, function) from error
        return Answer(statement, tuple(column.name for column in cursor.description or ()), rows)

    async def _rows(self, cursor: AsyncExactCursor, statement: str) -> tuple[Row, ...]:
        """The rows, one after the other: what is too large is never held."""
        rows: list[Row] = []
        # Binary results are exact. The text is the one that the page shows.
        stream = cast(AsyncGenerator[Row, None], cursor.stream(statement.encode(), binary=True))
        async with aclosing(stream) as found:
            async for row in found:
                self._left -= _size(cursor)
                if self._left < 0:
                    raise Problem(
                        400,
                        "the answer is too large",
                        sqlstate="54000",
                        hint="Ask for a shorter time, or read it with SQL.",
                    )
                rows.append(row)
        return tuple(rows)

    async def try_ask(self, function: str, **arguments: Any) -> Answer:
        """The answer, or the problem as an answer: the other parts of the page should still be seen."""
        try:
            await self._take_role_of(function)
            async with self._connection.transaction():
                return await self.ask(function, **arguments)
        except Problem as problem:
            return Answer(statement_of(self._database.schema, function, arguments), problem=problem)

    async def _take_role_of(self, function: str) -> None:
        level = LEVELS[function]
        if level == self._level:
            return
        key = self._keys.get(level)
        if key is None:
            raise Problem(
                403,
                f"this needs a key of the level {level}",
                sqlstate="42501",
                hint=f"Sign in with one, too: pymeter key create {level} --name NAME prints it.",
                more={"level": level},
            )
        self._level = None  # also if this one cannot be taken: the next question takes its own again
        await self._database.take_role(self._connection, key.credential)
        self._level = level


def _size(cursor: AsyncExactCursor) -> int:
    """The bytes of the row that was read last."""
    result = cursor.pgresult
    assert result is not None
    return sum(len(result.get_value(0, column) or b"") for column in range(result.nfields))


def quoted(schema: str) -> str:
    """The name of a schema in a statement: in quotes only if it needs them."""
    return schema if _PLAIN.fullmatch(schema) else sql.Identifier(schema).as_string(None)


def statement_of(schema: str, function: str, arguments: Mapping[str, Any]) -> str:
    """The SELECT, with the arguments that are not None as literals."""
    given = [f"{name} => {_literal(value)}" for name, value in arguments.items() if value is not None]
    return f"SELECT * FROM {quoted(schema)}.{function}({', '.join(given)})"


def _literal(value: Any) -> str:
    """Untyped, as a person writes it: PostgreSQL takes the type of the parameter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and value.is_finite():
        # In full only if it is short: 1e999999999 has a gigabyte of zeros.
        return f"{value:f}" if abs(value.adjusted()) < _DIGITS_SHOWN else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        value = str(value)
    if isinstance(value, date):
        value = value.isoformat()
    elif isinstance(value, timedelta):
        value = f"{value.days} days {value.seconds} seconds"
    elif isinstance(value, dict | list):
        value = exact_json.dumps(value)
    literal = sql.Literal(value).as_string(None).strip()
    return literal if visible(literal) == literal else _escaped(literal)


def _escaped(literal: str) -> str:
    """The literal without what a page cannot show, so that what it shows is what was run."""
    text = literal.removeprefix("E")
    if text == literal:
        text = text.replace("\\", "\\\\")
    return "E" + "".join(one if visible(one) == one else f"\\U{ord(one):08x}" for one in text)

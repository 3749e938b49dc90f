"""What a page asks the meter: one SELECT for each table or number, which the page shows as it was run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

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
        taken: str | None = None,
    ) -> None:
        """`taken`: the level whose role the transaction has."""
        self._database = database
        self._connection = connection
        self._keys = keys
        self._level = taken

    def may(self, function: str) -> bool:
        """Whether somebody has signed in with a key whose level has the function."""
        return LEVELS[function] in self._keys

    async def ask(self, function: str, **arguments: Any) -> Answer:
        """The answer. Raises Problem, 403 if nobody has signed in with a key of the right level."""
        statement = statement_of(self._database.schema, function, arguments)
        await self._take_role_of(function)
        cursor = AsyncExactCursor(self._connection)
        try:
            # Binary results are exact. The text is the one that the page shows.
            await cursor.execute(statement.encode(), binary=True)
        except psycopg.Error as error:
            raise of_database(error, function) from error
        columns = tuple(column.name for column in cursor.description or ())
        return Answer(statement, columns, tuple(await cursor.fetchall()))

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
        await self._database.take_role(self._connection, key.credential)
        self._level = level


def statement_of(schema: str, function: str, arguments: Mapping[str, Any]) -> str:
    """The SELECT, with the arguments that are not None as literals."""
    given = [f"{name} => {_literal(value)}" for name, value in arguments.items() if value is not None]
    quoted = schema if _PLAIN.fullmatch(schema) else sql.Identifier(schema).as_string(None)
    return f"SELECT * FROM {quoted}.{function}({', '.join(given)})"


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

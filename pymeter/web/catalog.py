"""The functions of the meter, their parameters, results and documentation, from PostgreSQL's catalog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from pymeter.web.database import Database
from pymeter.web.recent import Recent

# Functions that a role of the server may call: with a key of the right level, a request can.
_FUNCTIONS = """
SELECT p.proname AS name, p.provolatile <> 'v' AS reads, p.proretset AS is_set,
       coalesce(obj_description(p.oid, 'pg_proc'), '') AS comment,
       coalesce(p.proargnames[1:p.pronargs], '{}') AS names,
       ARRAY(SELECT format_type(a.type, NULL)
             FROM unnest(p.proargtypes) WITH ORDINALITY a (type, n) ORDER BY n) AS types,
       p.pronargs - p.pronargdefaults AS required,
       format_type(t.oid, NULL) AS result, t.typtype = 'c' AS is_composite,
       ARRAY(SELECT c.attname::text FROM pg_attribute c
             WHERE c.attrelid = t.typrelid AND c.attnum > 0 AND NOT c.attisdropped
             ORDER BY c.attnum) AS columns,
       ARRAY(SELECT format_type(c.atttypid, NULL) FROM pg_attribute c
             WHERE c.attrelid = t.typrelid AND c.attnum > 0 AND NOT c.attisdropped
             ORDER BY c.attnum) AS column_types,
       obj_description(t.oid, 'pg_type') AS type_comment
FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND p.proname !~ '^_'
  AND p.proname <> 'authenticate' AND p.prokind = 'f' AND p.prosecdef
  AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname <> session_user
              AND pg_has_role(session_user, r.oid, 'member')
              AND has_function_privilege(r.oid, p.oid, 'execute'))
ORDER BY 1
"""
_KEPT_SECONDS = 60.0
_ASKED_AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Value:
    """A parameter or a column: its name and PostgreSQL's name of its type."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True)
class Function:
    """A function that requests can call."""

    name: str
    reads: bool
    is_set: bool
    result: str
    parameters: tuple[Value, ...]
    columns: tuple[Value, ...]
    """Of its result; none if it is a single value."""
    comment: str
    type_comment: str

    @property
    def summary(self) -> str:
        """The first sentence of the documentation."""
        return re.split(r"(?<=[.:;]) ", self.description, maxsplit=1)[0].rstrip(".:;")

    @property
    def description(self) -> str:
        """The documentation, without the example in SQL."""
        return self.comment.partition(" Example: ")[0]

    def parameter(self, name: str) -> Value | None:
        """The parameter of that name."""
        return next((one for one in self.parameters if one.name == name), None)


class Catalog:
    """Reads the functions when they are first needed, and again after a minute: an upgrade adds some."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._functions = Recent(self._read)

    async def functions(self) -> dict[str, Function]:
        """All of them by name, in the order of names."""
        return await self._functions.get(_KEPT_SECONDS)

    async def get(self, name: str) -> Function | None:
        """The function of that name."""
        found = (await self.functions()).get(name)
        return found or (await self._functions.get(_ASKED_AGAIN_SECONDS)).get(name)

    async def _read(self) -> dict[str, Function]:
        async with self._database.transaction() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            rows = await (await cursor.execute(_FUNCTIONS, [self._database.schema])).fetchall()
        return {row["name"]: _function(row) for row in rows}


def _function(row: dict[str, Any]) -> Function:
    parameters = zip(row["names"], row["types"], strict=True)
    columns = zip(row["columns"], row["column_types"], strict=True)
    return Function(
        row["name"],
        row["reads"],
        row["is_set"],
        row["result"],
        tuple(Value(name, type, n < row["required"]) for n, (name, type) in enumerate(parameters)),
        tuple(Value(name, type) for name, type in columns) if row["is_composite"] else (),
        row["comment"],
        row["type_comment"] or "",
    )

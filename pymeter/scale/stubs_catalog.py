"""What a shard's catalog says of the functions of the contract: signatures, results, comments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from pymeter.scale.errors import ShardMapError


@dataclass(frozen=True)
class Field:
    """A parameter, or a column of a result."""

    name: str
    type: str


@dataclass(frozen=True)
class Function:
    """A function as the shard has it; types and defaults are SQL."""

    name: str
    fields: tuple[Field, ...]
    declared: str
    """The parameters with their defaults."""
    result: str
    columns: tuple[Field, ...]
    """The columns of a composite result; none of any other."""
    returns_set: bool
    comment: str

    @property
    def types(self) -> str:
        return ", ".join(field.type for field in self.fields)

    def place(self, parameter: str) -> int:
        """Which parameter it is, counted from 1."""
        return [field.name for field in self.fields].index(parameter) + 1

    def has(self, parameter: str) -> bool:
        return any(field.name == parameter for field in self.fields)


def functions(connection: psycopg.Connection[Any], schema: str, names: Iterable[str]) -> list[Function]:
    """The functions, in the order of their names. ShardMapError if the shard does not have all of them."""
    wanted = sorted(names)
    rows = connection.execute(_FUNCTIONS, {"schema": schema, "names": wanted}).fetchall()
    found = [
        Function(name, _fields(names, types), declared, result, _fields(columns, column_types), *others)
        for name, names, types, declared, result, columns, column_types, *others in rows
    ]
    if missing := sorted(set(wanted) - {function.name for function in found}):
        raise ShardMapError(
            "a shard is of another version than this program",
            detail=f"It has no function {schema}.{missing[0]}(); {len(missing)} are missing in all.",
            hint="Run `pymeter migrate` on every shard first.",
        )
    return found


def composite_types(
    connection: psycopg.Connection[Any], results: Iterable[str]
) -> list[tuple[str, tuple[Field, ...]]]:
    """Those of the results that are composite types, with their columns."""
    rows = connection.execute(_TYPES, {"results": sorted(set(results))}).fetchall()
    return [(name, _fields(columns, types)) for name, columns, types in rows]


def _fields(names: list[str] | None, types: list[str] | None) -> tuple[Field, ...]:
    return tuple(Field(name, type) for name, type in zip(names or (), types or (), strict=True))


_COLUMNS = """
    select array_agg(a.attname::text order by a.attnum) as names,
        array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum) as types
    from pg_attribute a
    where a.attrelid = t.typrelid and t.typrelid <> 0 and a.attnum > 0 and not a.attisdropped
"""

_FUNCTIONS = f"""
    select p.proname::text, p.proargnames,
        array(select format_type(u.type, null)
            from unnest(p.proargtypes) with ordinality u (type, n) order by u.n),
        pg_get_function_arguments(p.oid), format_type(p.prorettype, null), c.names, c.types, p.proretset,
        coalesce(obj_description(p.oid, 'pg_proc'), '')
    from pg_proc p
    join pg_type t on t.oid = p.prorettype
    cross join lateral ({_COLUMNS}) c
    where p.pronamespace = quote_ident(%(schema)s)::regnamespace and p.proname = any(%(names)s)
    order by p.proname collate "C"
"""

_TYPES = f"""
    select format_type(t.oid, null), c.names, c.types
    from unnest(%(results)s::text[]) r (name)
    join pg_type t on t.oid = to_regtype(r.name)
    cross join lateral ({_COLUMNS}) c
    where t.typrelid <> 0
    order by 1
"""

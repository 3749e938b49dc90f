"""SQL for a front: a database without usage, whose functions are those of a meter, and run on the shards.

PL/Proxy connects it to them. The SQL is generated from the catalog of a shard and from the rules of
pymeter.scale.routing. It replaces the front as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pymeter.client import Meter
from pymeter.scale import stubs_merging as merging
from pymeter.scale.errors import ShardMapError
from pymeter.scale.map_check import check_state
from pymeter.scale.routing import RULES
from pymeter.scale.rules import NotAcross, Rule
from pymeter.scale.shard_map import ShardMap
from pymeter.scale.stubs_catalog import Function, composite_types, functions
from pymeter.scale.stubs_quoting import identifier, is_plain, literal
from pymeter.scale.stubs_rights import forget_guard, rights
from pymeter.scale.stubs_routing import routing
from pymeter.scale.stubs_rules import stub_of

# Of these, the merged answer of a client is more than SQL of a few lines.
_BY_THE_CLIENT: Final = "its answers are put together by the Python client only. Call it on a shard."
_SECRET: Final = ("user", "password", "sslpassword")


@dataclass(frozen=True)
class Front:
    """What the generated SQL is about."""

    shard_map: ShardMap
    schema: str

    @property
    def server(self) -> str:
        return f"{self.schema}_shards"


def stubs(
    connection: psycopg.Connection[Any], shard_map: ShardMap, roles: Mapping[str, str | None] | None = None
) -> str:
    """The SQL of the front, to be run by psql as its superuser.

    Args:
        connection: To a shard, whose catalog is read.
        roles: Roles of the front that may call the stubs, each with its role on the shards (None: of the
            same name).
    """
    front = Front(shard_map, _schema(shard_map))
    with connection.transaction():
        _check_map(connection, front)
        connection.execute("set local search_path to pg_catalog")
        found = functions(connection, front.schema, RULES)
        types = composite_types(connection, [function.result for function in found])
    parts = [
        _HEAD.format(shards=", ".join(shard_map.names)),
        "begin;\nset local client_min_messages to warning;",
        forget_guard(front.server),
        _prepare(front),
        _server(front),
    ]
    parts += [
        f"create type {name} as (\n    "
        + ",\n    ".join(f"{identifier(column.name)} {column.type}" for column in columns)
        + "\n);"
        for name, columns in types
    ]
    parts.append(routing(shard_map, front.schema))
    parts += [part for function in found for part in _stub(front, function, RULES[function.name])]
    parts += [*rights(front.schema, front.server, roles or {}), "commit;"]
    return "\n\n".join(parts) + "\n"


def _check_map(connection: psycopg.Connection[Any], front: Front) -> None:
    state = Meter(connection, schema=front.schema).shard_state()
    named = [shard.name for shard in front.shard_map.shards.values() if shard.number == state.number]
    check_state(front.shard_map, (named or front.shard_map.names)[0], state)


def left_out() -> dict[str, str]:
    """The functions of the contract that have no stub, and why."""
    return {name: _reason(rule) for name, rule in RULES.items() if merging.unsupported(rule)}


def _reason(rule: Rule) -> str:
    return rule.reason if isinstance(rule, NotAcross) else _BY_THE_CLIENT


def _stub(front: Front, function: Function, rule: Rule) -> Iterator[str]:
    if merging.unsupported(rule):
        yield f"-- No {function.name}(): {_reason(rule)}"
        return
    yield from stub_of(front.schema, front.server, front.shard_map, function, rule)
    name = f"{identifier(front.schema)}.{identifier(function.name)}"
    yield f"comment on function {name}({function.types}) is {literal(function.comment)};"


def _schema(shard_map: ShardMap) -> str:
    schemas = {shard.schema for shard in shard_map.shards.values()}
    if len(schemas) > 1:
        raise ShardMapError(
            "the shards have schemas of different names",
            detail=f"{', '.join(sorted(schemas))}.",
            hint="PL/Proxy calls one name on all shards: use a database for each, with one name.",
        )
    schema = schemas.pop()
    if not is_plain(schema):
        raise ShardMapError(
            "PL/Proxy cannot call functions in a schema whose name needs quotes",
            detail=f"{schema}.",
            hint="Install the shards in a schema with small letters, digits and _.",
        )
    return schema


def _prepare(front: Front) -> str:
    return _PREPARE.format(schema=identifier(front.schema), schema_text=literal(front.schema))


def _server(front: Front) -> str:
    """The shards, in the order of their numbers, without users and passwords."""
    options = []
    for n, name in enumerate(front.shard_map.names):
        parts = conninfo_to_dict(front.shard_map.shards[name].connection_string())
        kept = {key: value for key, value in parts.items() if key not in _SECRET}
        options.append(f"p{n} {literal(make_conninfo('', **kept))}")
    # Without it the number of shards would have to be a power of two.
    options.append("modular_mapping '1'")
    listed = ",\n    ".join(options)
    server = identifier(front.server)
    return (
        f"drop server if exists {server} cascade;\n"
        f"create server {server} foreign data wrapper plproxy options (\n    {listed}\n);"
    )


_HEAD = """\
-- A front of the shards {shards}, generated by `pymeter shard stubs`: run it with psql as superuser, and a
-- new one after each upgrade of the shards and each change of the map. It replaces a front, never a meter."""

_PREPARE = """\
do $$
declare
    v_dropped text;
begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception using errcode = '22023', message = 'the encoding of the front is not UTF8',
            hint = 'Create a database with encoding UTF8.';
    elsif exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = {schema_text} and c.relkind in ('r', 'p', 'v') and c.relname <> '_shard_pins') then
        raise exception using errcode = '55000',
            message = 'the database has a meter or other tables in this schema',
            detail = format('schema %s.', {schema_text}), hint = 'A front needs a database without a meter.';
    end if;
    -- One by one, without CASCADE: a view of yours that depends on a stub stops this, and is named.
    for v_dropped in
        select format('drop function %s', p.oid::regprocedure)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = {schema_text}
    loop
        execute v_dropped;
    end loop;
    for v_dropped in
        select format('drop type %s', c.oid::regclass)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = {schema_text} and c.relkind = 'c'
    loop
        execute v_dropped;
    end loop;
end
$$;

create extension if not exists plproxy;
create schema if not exists {schema};"""

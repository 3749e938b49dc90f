"""Who may call the stubs of a front, and as whom on the shards: SQL for the script of pymeter.scale.stubs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pymeter.scale.stubs_quoting import identifier, literal


def forget_guard(server: str) -> str:
    """Before functions are replaced: the triggers of the last run depend on one of them."""
    return "\n".join(f"drop event trigger if exists {name};" for name in _triggers(server).values())


def rights(schema: str, server: str, roles: Mapping[str, str | None]) -> Iterator[str]:
    """Rights on schema, server and functions, and for each role what it is on the shards.

    PL/Proxy wants USAGE on the server from the caller itself, and with that PostgreSQL lets a role change its
    own user mapping, and so become any role that the shards take from this server. Event triggers refuse it.
    """
    yield f"revoke execute on all functions in schema {identifier(schema)} from public;"
    yield _GUARD.format(function=f"{identifier(schema)}._keep_user_mappings", server=literal(server))
    for event, name in _triggers(server).items():
        # ALWAYS: whatever session_replication_role says.
        yield (
            f"create event trigger {name} on {event}\n"
            f"    execute function {identifier(schema)}._keep_user_mappings();\n"
            f"alter event trigger {name} enable always;"
        )
    for role, on_shards in roles.items():
        yield _of_role(identifier(schema), identifier(server), identifier(role), literal(on_shards or role))


def _of_role(schema: str, server: str, role: str, on_shards: str) -> str:
    return (
        f"grant usage on schema {schema} to {role};\n"
        f"grant usage on foreign server {server} to {role};\n"
        f"grant execute on all functions in schema {schema} to {role};\n"
        f"create user mapping for {role} server {server} options (user {on_shards});"
    )


def _triggers(server: str) -> dict[str, str]:
    """By event. A mapping that is dropped counts: without one, a role has its own name on the shards."""
    return {
        "ddl_command_end": identifier(f"{server}_mappings"),
        "sql_drop": identifier(f"{server}_mappings_dropped"),
    }


_GUARD: Final = """\
create function {function}() returns event_trigger
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
    v_server  text := {server};
    v_changed boolean;
begin
    if tg_event = 'sql_drop' then
        v_changed := exists (
            select from pg_event_trigger_dropped_objects() d
            where d.object_type = 'user mapping' and d.address_args[1] = v_server);
    else
        v_changed := exists (
            select from pg_event_trigger_ddl_commands() c
            join pg_user_mappings m on m.umid = c.objid and c.classid = 'pg_user_mapping'::regclass
            where m.srvname = v_server);
    end if;
    if v_changed and not pg_has_role(
        current_user, (select s.srvowner from pg_foreign_server s where s.srvname = v_server), 'USAGE')
    then
        raise exception using errcode = '42501',
            message = 'only the owner of the server can change which role of the shards a role is',
            detail = format('server %I.', v_server),
            hint = 'Ask for another role of pymeter shard stubs.';
    end if;
end
$$;
revoke execute on function {function}() from public;"""

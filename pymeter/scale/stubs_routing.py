"""The functions of a front that say which shard a subject or an id belongs to: the map, as SQL."""

from __future__ import annotations

from pymeter.scale.shard_map import ShardMap
from pymeter.scale.stubs_quoting import identifier, literal


def routing(shard_map: ShardMap, schema: str) -> str:
    """The pinned subjects, and functions that return the place of a shard, counted from 0."""
    places = {name: place for place, name in enumerate(shard_map.names)}
    numbers = [str(places[name]) for name in shard_map.slots]
    by_number = " ".join(
        f"when {shard_map.shards[name].number} then {place}" for name, place in places.items()
    )
    oldest = places[shard_map.oldest] if shard_map.oldest else "null"
    return _ROUTING.format(
        schema=identifier(schema),
        pins=_pins(shard_map, places, schema),
        slots="{" + ",".join(numbers) + "}",
        by_number=by_number,
        ids_above=shard_map.ids_above,
        oldest=oldest,
        names=literal("{" + ",".join(f'"{name}"' for name in places) + "}"),
    )


def _pins(shard_map: ShardMap, places: dict[str, int], schema: str) -> str:
    table = f"{identifier(schema)}._shard_pins"
    if not shard_map.pins:
        return f"delete from {table};"
    rows = ",\n    ".join(
        f"({literal(subject)}, {places[name]})" for subject, name in sorted(shard_map.pins.items())
    )
    return f"delete from {table};\ninsert into {table} values\n    {rows};"


_ROUTING = """\
create table if not exists {schema}._shard_pins (
    subject text collate "C" primary key, shard integer not null);
{pins}

-- A null goes to the first shard, which refuses it as any other shard would.
create function {schema}._shard_of(subject text) returns integer
language plpgsql stable security definer set search_path to pg_catalog, pg_temp as $stub$
declare
    v_shard  integer;
    v_digest bytea;
begin
    if $1 is null then
        return 0;
    end if;
    select p.shard into v_shard from {schema}._shard_pins p where p.subject = $1;
    if found then
        return v_shard;
    end if;
    v_digest := sha256(convert_to($1, 'UTF8'));
    return ('{slots}'::integer[])[(get_byte(v_digest, 0) * 256 + get_byte(v_digest, 1)) % 1024 + 1];
end
$stub$;

create function {schema}._shard_of_id(id bigint, parameter text) returns integer
language plpgsql stable security definer set search_path to pg_catalog, pg_temp as $stub$
declare
    v_shard integer := case
        when $1 is null then 0
        when $1 between 1 and {ids_above} then {oldest}
        when $1 > 0 then case $1 % 1024 {by_number} end
    end;
begin
    if v_shard is null then
        raise exception using errcode = 'UM007', message = 'no shard of the map has this id', column = $2,
            detail = format('%s %s.', $2, $1), hint = 'Pass an id that one of these shards has returned.';
    end if;
    return v_shard;
end
$stub$;

create function {schema}._shard_of_both(subject text, pseudonym text) returns integer
language plpgsql stable security definer set search_path to pg_catalog, pg_temp as $stub$
declare
    v_names text[] := {names};
    v_home  integer := {schema}._shard_of($1);
    v_other integer := {schema}._shard_of($2);
begin
    if $1 is not null and $2 is not null and v_home <> v_other then
        raise exception using errcode = '22023', column = 'pseudonym',
            message = 'the pseudonym lies on another shard than the subject',
            detail = format('subject on %s, pseudonym %L on %s.',
                v_names[v_home + 1], $2, v_names[v_other + 1]),
            hint = format('Pin the pseudonym first: pymeter shard pin %s %s', $2, v_names[v_home + 1]);
    end if;
    return v_home;
end
$stub$;

-- What a correction records has to be on its shard.
create function {schema}._shard_of_entries(id bigint, entries jsonb) returns integer
language plpgsql stable security definer set search_path to pg_catalog, pg_temp as $stub$
declare
    v_names text[] := {names};
    v_home  integer := {schema}._shard_of_id($1, 'id');
    v_entry record;
begin
    for v_entry in
        select e.n, e.value->>'subject' as subject, {schema}._shard_of(e.value->>'subject') as shard
        from jsonb_array_elements(case jsonb_typeof($2) when 'array' then $2 else '[]' end)
            with ordinality e (value, n)
        where jsonb_typeof(e.value->'subject') = 'string'
            and {schema}._shard_of(e.value->>'subject') <> v_home
        order by e.n
        limit 1
    loop
        raise exception using errcode = '22023', column = 'entries',
            message = 'the subject of an entry lies on another shard than the correction',
            detail = format('Entry %s: %L on %s, correction on %s.', v_entry.n, v_entry.subject,
                v_names[v_entry.shard + 1], v_names[v_home + 1]),
            hint = 'Open a correction on each shard.';
    end loop;
    return v_home;
end
$stub$;"""

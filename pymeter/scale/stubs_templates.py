"""Bodies of the stubs in PL/pgSQL. They call stubs named ``_on_...``, which ask the shards of an array."""

from __future__ import annotations

from typing import Final

ROWS: Final = """\
begin{checked}
    return query select {listed}
    from {rows} with ordinality t ({named}, _n)
    order by {order}{limit};
end"""

ONE_ROW: Final = """\
begin
    return (select {one} from {rows} t ({named}));
end"""

# What the first shard refuses, none gets.
DEFINED: Final = """\
declare
    v_shards integer[] := {shards};{declared}
begin
    {steps}
end"""

# Definitions of everybody are taken from the first shard, those of subjects from theirs. A page of another
# shard may hold little else than the former, so it is read on until it has enough of the latter.
DEFINITIONS: Final = """\
declare
    v_shard integer;
    v_after bigint;
    v_page  {type}[];
    v_kept  {type}[];
    v_found {type}[] := '{{}}';
begin
    foreach v_shard in array {shards} loop
        v_after := {after};
        v_kept := '{{}}';
        loop
            v_page := array(select t from {page} t);
            v_kept := v_kept || array(
                select t from unnest(v_page) t
                where v_shard = 0 or {subject} is not null or t.subject is not null);
            exit when v_shard = 0 or {subject} is not null or {max_rows} is null
                or cardinality(v_page) < {max_rows} or cardinality(v_kept) >= {max_rows};
            v_after := v_page[cardinality(v_page)].{id};
        end loop;
        v_found := v_found || v_kept;
    end loop;
    return query select t.* from unnest(v_found) t order by t.{id} limit greatest({max_rows}, 0);
end"""

NEEDS_SUBJECT: Final = """\
begin
    if {subject} is null then
        raise exception using errcode = '0A000', column = 'subject',
            message = 'this function works on one shard',
            detail = '{name}(): answers about all subjects are put together by the Python client only.',
            hint = 'Pass a subject, or call {name}() on each shard.';
    end if;
    return query select * from {rows};
end"""

CHECKED_PAGE: Final = """
    if {subject} is not null and {at} is null then
        raise exception using errcode = '22004', column = 'after_at',
            message = 'after_subject is given without after_at',
            detail = format('after_subject %L.', {subject}),
            hint = 'Pass last_activity_at of the last row of the page before, too.';
    end if;"""

# One shard after the other, so that it is known whose element an error is about. Elements without a subject
# are refused by the first shard.
SPLIT: Final = """\
declare
    v_shards integer[];
    v_only   integer;
    v_part   record;
    v_found  {type}[] := '{{}}';
    v_state  text;
    v_text   text;
    v_detail text;
    v_hint   text;
    v_number text;
begin
    if jsonb_typeof({batch}) = 'array' then
        select array_agg(distinct s.shard) into v_shards
        from (select {shard_of} as shard from (
            select distinct
                case jsonb_typeof(e.value->'subject') when 'string' then e.value->>'subject' end as subject
            from jsonb_array_elements({batch}) e) s) s;
    end if;
    if coalesce(cardinality(v_shards), 0) < 2 then
        v_only := v_shards[1];
        return query select * from {all_in_one};
        return;
    end if;
    for v_part in
        with e as materialized (
            select e.value, e.n::integer,
                case jsonb_typeof(e.value->'subject') when 'string' then e.value->>'subject' end as subject
            from jsonb_array_elements({batch}) with ordinality e (value, n)),
        s as materialized (
            select s.subject, {shard_of} as shard from (select distinct e.subject from e) s)
        select s.shard, jsonb_agg(e.value order by e.n) as elements, array_agg(e.n order by e.n) as places
        from e join s on s.subject is not distinct from e.subject
        group by s.shard
        order by s.shard
    loop
        begin
            v_found := v_found || array(select row({placed})::{type} from {part} t);
        exception when others then
            get stacked diagnostics v_state = returned_sqlstate, v_text = message_text,
                v_detail = pg_exception_detail, v_hint = pg_exception_hint;
            v_number := substring(v_detail from '^(?:Remote detail: )?{noun} (\\d+)');
            if v_number is null or v_part.places[v_number::integer] is null then
                raise;
            end if;
            -- The place in the part becomes the place in the batch.
            raise exception using errcode = v_state, message = v_text, hint = v_hint,
                detail = regexp_replace(v_detail, '{noun} \\d+',
                    '{noun} ' || v_part.places[v_number::integer]);
        end;
    end loop;
    return query select t.* from unnest(v_found) t order by t.ordinal;
end"""

create or replace function _dropped_months()
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select m.month
    from log_months m
    where m.dropped or not exists (
        select from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass and c.relname = _partition_name(m.month));
end
$$;

comment on function _dropped_months() is
    'The months (their first instants, UTC) whose partition was dropped: the log no longer explains their rollups.';

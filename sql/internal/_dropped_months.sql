-- The snapshot of who asks may be from before he waited for maintain() to drop a month, so the log is locked before it is looked at.
create or replace function _dropped_months()
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from events where false;
    return query
    select m.month
    from log_months m
    where _is_dropped(m.dropped, _partition_name(m.month), 'events'::regclass);
end
$$;

comment on function _dropped_months() is
    'The months (their first instants, UTC) whose partition was dropped: the log no longer explains their rollups.';

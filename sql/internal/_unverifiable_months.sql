create or replace function _unverifiable_months()
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_attached boolean;
begin
    perform from events where false;  -- locked before it is looked at, as in _dropped_months()
    -- A table that was attached by hand under another name may hold events whose totals were kept.
    v_attached := exists (
        select from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass and c.relname <> 'events_default'
          and c.relname not in (select _partition_name(month) from log_months));
    return query
    select m.month
    from log_months m
    cross join lateral (
        select coalesce(pg_partition_root(to_regclass(_partition_name(m.month))) = 'events'::regclass, false) as attached
    ) p
    where (m.dropped or not p.attached) and (v_attached or m.partitions - p.attached::int <> m.totals_kept);
end
$$;

comment on function _unverifiable_months() is
    'The dropped months (their first instants, UTC) of which not all totals were kept: a partition was dropped or attached by hand, or '
    'dropped by a release that did not keep them.';

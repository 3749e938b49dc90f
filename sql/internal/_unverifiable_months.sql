create or replace function _unverifiable_months()
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from events where false;  -- locked before it is looked at, as in _dropped_months()
    return query
    select m.month
    from log_months m
    cross join lateral (
        select coalesce(pg_partition_root(to_regclass(_partition_name(m.month))) = 'events'::regclass, false) as attached
    ) p
    where (m.dropped or not p.attached) and m.partitions - p.attached::int <> m.totals_kept;
end
$$;

comment on function _unverifiable_months() is
    'The dropped months (their first instants, UTC) of which not all totals were kept: a partition was dropped by hand, or by a release '
    'that did not keep them.';

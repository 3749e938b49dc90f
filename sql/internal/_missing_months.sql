create or replace function _missing_months(now timestamptz)
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
begin
    return query
    select m.month
    from generate_series(0, 3) as ahead
    cross join lateral (
        select (date_trunc('month', _missing_months.now at time zone interval '0') + make_interval(months => ahead)) at time zone interval '0'
    ) m (month)
    where _partition_name(m.month) not in (
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'events'::regclass)
    order by m.month;
end
$$;

comment on function _missing_months(timestamptz) is
    'Those of this month and the next three (their first instants, UTC) that the log has no partition for.';

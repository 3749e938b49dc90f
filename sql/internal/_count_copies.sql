create or replace function _count_copies(months timestamptz[])
returns bigint
language sql
stable
set search_path from current
as $$
    select _count_events('events_next') + coalesce(sum(_count_events(_partition_name(m.month))), 0)::bigint from unnest(months) m (month)
$$;

comment on function _count_copies(timestamptz[]) is
    'How many events the tables hold that are to be the partitions of these months and the default one.';

-- Stripes are taken away before their sums are added to the bucket's own row: whoever waits for a stripe then begins a new one.
create or replace function _merge_stripes()
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_stripes rollups[];
begin
    perform from rollups where stripe > 0 order by subject, metric, bucket, bucket_start, stripe for update;
    with merged as (
        delete from rollups r where r.stripe > 0 returning r
    )
    select coalesce(array_agg(r), '{}') into v_stripes from merged;

    insert into rollups as r (subject, metric, bucket, bucket_start, event_count, last_at, last_event_id,
                              total, lowest, highest, latest)
    select subject, metric, bucket, bucket_start, sum(event_count), max(last_at),
           (array_agg(last_event_id order by last_at desc, last_event_id desc nulls last))[1],
           sum(total), min(lowest), max(highest),
           (array_agg(latest order by last_at desc, last_event_id desc nulls last))[1]
    from unnest(v_stripes)
    group by subject, metric, bucket, bucket_start
    order by subject, metric, bucket, bucket_start
    on conflict (subject, metric, bucket, bucket_start, stripe) do update set
        event_count = r.event_count + excluded.event_count,
        last_at = greatest(r.last_at, excluded.last_at),
        last_event_id = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                             then excluded.last_event_id else r.last_event_id end,
        total = r.total + excluded.total,
        lowest = least(r.lowest, excluded.lowest),
        highest = greatest(r.highest, excluded.highest),
        latest = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                      then excluded.latest else r.latest end;
    return cardinality(v_stripes);
end
$$;

comment on function _merge_stripes() is
    'Adds every stripe to the one row that its bucket has without; returns how many stripes there were.';

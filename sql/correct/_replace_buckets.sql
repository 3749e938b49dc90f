-- All are written to rollups first; then the series whose open buckets are among them, or are not the latest any more, get these anew.
create or replace function _replace_buckets(series_ids integer[], buckets rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_reopen integer[];
begin
    insert into rollups as r
    select b.* from unnest(buckets) b
    order by b.series_id, b.bucket, b.bucket_start
    on conflict (series_id, bucket, bucket_start, stripe) do update set
        event_count = excluded.event_count, last_at = excluded.last_at, total = excluded.total,
        lowest = excluded.lowest, highest = excluded.highest, latest = excluded.latest;
    v_reopen := _series_to_reopen(series_ids, buckets);
    perform _reopen_buckets(v_reopen, buckets);
    update series s set version = s.version + 1,
        unchecked_below = case when s.unchecked_below = 'infinity' then 'infinity' else '-infinity'::numeric end
    where s.series_id = any (series_ids) and s.series_id <> all (v_reopen);
end
$$;

comment on function _replace_buckets(integer[], rollups[]) is
    'Writes whole buckets of series that have no stripes, and whose rows the caller has locked.';

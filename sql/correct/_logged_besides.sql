-- Each bucket is read once, by index. NOT IN compares ids by hashing.
create or replace function _logged_besides(plan bucket_plan, aggregates text[])
returns table (aggregate text, series_id integer, bucket_start timestamptz, event_id bigint, at timestamptz, quantity numeric, member text)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select f.aggregate, f.series_id, f.bucket_start, e.event_id, e.at, e.quantity, e.member
    from unnest(plan.sums) f
    cross join lateral (
        select e.event_id, e.at, e.quantity, e.member
        from events e
        where e.series_id = f.series_id and e.at >= f.bucket_start and e.at < _bucket_end(f.bucket, f.bucket_start)
          and e.event_id not in (select unnest(plan.left_out))
        offset 0
    ) e
    where f.is_fine and f.aggregate = any (aggregates);
end
$$;

comment on function _logged_besides(bucket_plan, text[]) is
    'The events that count in the fine buckets that a correction changes, without those that it records; of metrics of some aggregates.';

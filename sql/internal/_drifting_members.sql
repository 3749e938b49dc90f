create or replace function _drifting_members(subject text, metric text)
returns setof bucket_key
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    with drifts as materialized (
        select d.*, m.period, m.rollup,
               case length(coalesce(d.logged_seen, d.stored_seen)) when 744 then 'hour' when 31 then 'day' end as slot,
               case
                   when length(d.stored_seen) = length(d.logged_seen) then d.stored_seen # d.logged_seen
                   else coalesce(d.logged_seen, d.stored_seen)
               end as differing
        from _member_drifts(_drifting_members.subject, _drifting_members.metric) d
        left join metrics m on m.key = d.metric
    )
    -- A month's row is reported as such where months are buckets of the metric, and where no bit tells more.
    select subject, metric, bucket, bucket_start
    from drifts
    where (stored <> logged and bucket in (period, rollup)) or coalesce(bit_count(differing), 0) = 0
    union
    select subject, metric, slot, s.slot_start
    from (
        select subject, metric, slot, bucket_start, bit_or(differing) as differing
        from drifts
        where slot is not null
        group by subject, metric, slot, bucket_start
    ) d
    cross join lateral (
        select d.bucket_start + i * case d.slot when 'hour' then interval '1 hour' else interval '24 hours' end
        from generate_series(0, length(d.differing) - 1) i
        where get_bit(d.differing, i) = 1
    ) s (slot_start);
end
$$;

comment on function _drifting_members(text, text) is
    'The buckets of one subject and metric (null: all) whose members do not equal the log.';

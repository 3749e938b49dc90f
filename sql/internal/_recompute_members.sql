create or replace function _recompute_members(subject text, metric text)
returns setof unique_members
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    with kinds as materialized (
        select m.key, _slot_bucket(m.period, m.rollup) as slot, b.bucket
        from metrics m
        cross join lateral (select _member_bucket(m.period) union select _member_bucket(m.rollup)) b (bucket)
        where m.aggregate = 'unique' and b.bucket is not null
    )
    select _bucket_start(k.bucket, l.bucket_start), l.subject, l.metric, k.bucket, l.member_digest,
           bit_or(case when k.bucket = 'month' then _slot(k.slot, l.bucket_start) end)::bit varying,
           null::bit varying
    from _logged_members(_recompute_members.subject, _recompute_members.metric) l
    join kinds k on k.key = l.metric
    group by 1, 2, 3, 4, 5;
end
$$;

comment on function _recompute_members(text, text) is
    'The rows of unique_members of one subject and metric (null: all) as the log says they should be.';

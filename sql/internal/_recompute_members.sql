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
        select key, _fine_bucket(period, rollup) as fine, _coarse_bucket(period, rollup) as coarse
        from metrics
        where aggregate = 'unique' and (_recompute_members.metric is null or key = _recompute_members.metric)
    ), fine as materialized (
        select distinct _bucket_start(k.fine, e.at) as bucket_start, e.subject, e.metric, k.fine as bucket, k.coarse, e.member
        from events e
        join kinds k on k.key = e.metric
        where _recompute_members.subject is null or e.subject = _recompute_members.subject
    )
    select bucket_start, subject, metric, bucket, _digest(member)
    from fine
    union all
    select distinct _bucket_start(coarse, bucket_start), subject, metric, coarse, _digest(member)
    from fine
    where coarse <> bucket;
    perform _check_snapshot();
end
$$;

comment on function _recompute_members(text, text) is
    'The members of one subject and metric (null: all) as the log says they should be.';

create or replace function _logged_members(subject text, metric text)
returns setof bucket_member
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
        where aggregate = 'unique' and (_logged_members.metric is null or key = _logged_members.metric)
    )
    select subject, metric, bucket, bucket_start, _digest(member), coarse
    from (
        select distinct _bucket_start(k.fine, e.at) as bucket_start, e.subject, e.metric, k.fine as bucket, k.coarse, e.member
        from events e
        join kinds k on k.key = e.metric
        where _logged_members.subject is null or e.subject = _logged_members.subject
    ) seen;
    perform _check_snapshot();
end
$$;

comment on function _logged_members(text, text) is
    'The members of each finer bucket of one subject and metric (null: all), from the log; with the kind of the coarser bucket.';

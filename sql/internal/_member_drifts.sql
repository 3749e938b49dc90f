create or replace function _member_drifts(subject text, metric text)
returns setof member_drift
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_dropped timestamptz[] := array(select _dropped_months());
begin
    return query
    select subject, metric, bucket, bucket_start, member_digest, s.stored is null
    from (
        select true as stored, u.*
        from unique_members u
        where (_member_drifts.subject is null or u.subject = _member_drifts.subject)
          and (_member_drifts.metric is null or u.metric = _member_drifts.metric)
    ) s
    full join (
        select true as logged, u.* from _recompute_members(_member_drifts.subject, _member_drifts.metric) u
    ) l using (subject, metric, bucket, bucket_start, member_digest)
    where (s.stored is null or l.logged is null) and not _overlaps_months(v_dropped, bucket_start, _bucket_end(bucket, bucket_start));
end
$$;

comment on function _member_drifts(text, text) is
    'Every member of one subject and metric (null: all) that is in the log or in unique_members, but not in both.';

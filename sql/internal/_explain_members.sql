-- Of a dropped month, what is stored is believed: only its late events can still be missing. The buckets that reach beyond a month have
-- their own list of what was dropped.
create or replace function _explain_members(subject text, metric text)
returns setof unique_members
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_dropped      timestamptz[] := array(select _dropped_months());
    v_unverifiable timestamptz[] := array(select _unverifiable_months());
begin
    if v_dropped = '{}' then
        return query select * from _recompute_members(_explain_members.subject, _explain_members.metric);
        return;
    end if;
    return query
    select bucket_start, subject, metric, bucket, member_digest, bit_or(seen)::bit varying, null::bit varying
    from (
        select bucket_start, subject, metric, bucket, member_digest, seen
        from _recompute_members(_explain_members.subject, _explain_members.metric)
        union all
        select d.bucket_start, d.subject, d.metric, d.bucket, d.member_digest, null
        from dropped_members d
        where (_explain_members.subject is null or d.subject = _explain_members.subject)
          and (_explain_members.metric is null or d.metric = _explain_members.metric)
        union all
        select u.bucket_start, u.subject, u.metric, u.bucket, u.member_digest, u.seen
        from unique_members u
        where (_explain_members.subject is null or u.subject = _explain_members.subject)
          and (_explain_members.metric is null or u.metric = _explain_members.metric)
          and _overlaps_months(case when u.bucket in ('week', 'year', 'never') then v_unverifiable else v_dropped end,
                               u.bucket_start, _bucket_end(u.bucket, u.bucket_start))
    ) m
    group by 1, 2, 3, 4, 5;
end
$$;

comment on function _explain_members(text, text) is
    'The rows of unique_members of one subject and metric (null: all) as the log and what is known of dropped months say they should be.';

create or replace function _member_drifts(subject text, metric text)
returns setof member_drift
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    select subject, metric, bucket, bucket_start, member_digest, s.present is not null, l.present is not null,
           case
               when s.present is null then false
               when l.present is null then true
               when length(s.seen) = length(l.seen) then s.seen & l.seen <> s.seen
               else true
           end,
           s.seen, l.seen
    from (
        select true as present, u.*
        from unique_members u
        where (_member_drifts.subject is null or u.subject = _member_drifts.subject)
          and (_member_drifts.metric is null or u.metric = _member_drifts.metric)
    ) s
    full join (
        select true as present, u.* from _explain_members(_member_drifts.subject, _member_drifts.metric) u
    ) l using (subject, metric, bucket, bucket_start, member_digest)
    where s.present is null or l.present is null or s.seen is distinct from l.seen;
end
$$;

comment on function _member_drifts(text, text) is
    'Every row of unique_members of one subject and metric (null: all) that is missing, is there without an event, or differs.';

create or replace function _correct_members(subject text, metric text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_drifts member_drift[];
begin
    v_drifts := array(select d from _member_drifts(_correct_members.subject, _correct_members.metric) d);

    -- A member that has no event can only come from tampering. Somebody may be recording that very member and have taken it for
    -- counted, so everybody who records members is waited for before it is deleted.
    if exists (select from unnest(v_drifts) where not missing) then
        lock table unique_members in share row exclusive mode;
        v_drifts := array(select d from _member_drifts(_correct_members.subject, _correct_members.metric) d);
        delete from unique_members u
        using unnest(v_drifts) d
        where not d.missing and u.subject = d.subject and u.metric = d.metric
          and u.bucket = d.bucket and u.bucket_start = d.bucket_start and u.member_digest = d.member_digest;
    end if;

    insert into unique_members (subject, metric, bucket, bucket_start, member_digest)
    select subject, metric, bucket, bucket_start, member_digest
    from unnest(v_drifts)
    where missing
    order by subject, metric, bucket, bucket_start, member_digest
    on conflict (subject, metric, bucket, bucket_start, member_digest) do nothing;
end
$$;

comment on function _correct_members(text, text) is
    'Makes unique_members equal the log for one subject and metric (null: all).';

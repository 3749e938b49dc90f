create or replace function _correct_member_rows(drifts member_drift[])
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '1s'
as $$
#variable_conflict use_column
begin
    delete from unique_members u
    using unnest(drifts) d
    where d.unfounded and u.subject = d.subject and u.metric = d.metric
      and u.bucket = d.bucket and u.bucket_start = d.bucket_start and u.member_digest = d.member_digest;

    insert into unique_members as u (subject, metric, bucket, bucket_start, member_digest, seen)
    select subject, metric, bucket, bucket_start, member_digest, logged_seen
    from unnest(drifts)
    where logged
    order by subject, metric, bucket, bucket_start, member_digest
    on conflict (subject, metric, bucket, bucket_start, member_digest) do update set
        seen = u.seen | excluded.seen,
        added = excluded.seen & ~ u.seen
    where u.seen & excluded.seen <> excluded.seen;
end
$$;

comment on function _correct_member_rows(member_drift[]) is
    'Takes away the rows of unique_members that claim more than the log, and adds what is missing.';

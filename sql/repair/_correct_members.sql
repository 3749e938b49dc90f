-- A member or bit without an event (unfounded) can only come from tampering. A concurrent record() may have read it and taken its member for counted,
-- and a correction may take away what is missing here. Recorders and corrections lock the table before rows of series, and members after these. So if
-- there is anything to correct, the table is locked first, which waits for all of them, and read again.
-- The loop reads from a cursor over a sorted result, which PostgreSQL keeps on disk if it is large.
create or replace function _correct_members(scope integer[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_drift member_drift;
    v_batch member_drift[] := '{}';
begin
    if not exists (select from _member_drifts(_correct_members.scope)) then
        return;
    end if;
    perform _lock_tables('{unique_members}', 'share row exclusive');
    for v_drift in
        select * from _member_drifts(_correct_members.scope)
        order by unfounded desc, series_id, bucket, bucket_start, member_digest
    loop
        v_batch := v_batch || v_drift;
        if cardinality(v_batch) = 10000 then
            perform _correct_member_rows(v_batch);
            v_batch := '{}';
        end if;
    end loop;
    perform _correct_member_rows(v_batch);
end
$$;

comment on function _correct_members(integer[]) is 'Makes the members of the given series (null: all) equal the log.';

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
    where d.unfounded and u.series_id = d.series_id and u.bucket = d.bucket and u.bucket_start = d.bucket_start and u.member_digest = d.member_digest;

    insert into unique_members as u (series_id, bucket, bucket_start, member_digest, seen)
    select series_id, bucket, bucket_start, member_digest, logged_seen
    from unnest(drifts)
    where logged
    order by series_id, bucket, bucket_start, member_digest
    on conflict (series_id, bucket, bucket_start, member_digest) do update set
        seen = u.seen | excluded.seen,
        added = excluded.seen & ~ u.seen
    where u.seen & excluded.seen <> excluded.seen;
end
$$;

comment on function _correct_member_rows(member_drift[]) is
    'Deletes rows of unique_members that claim more than the log, and inserts what is missing.';

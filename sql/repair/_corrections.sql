-- Finds each row by its place (ctid): a row that has changed since is at another place, or differs from the stored value. Without hash and
-- merge joins the planner can only fetch by ctid.
create or replace function _correct_rollups(drifts rollup_drift[], places tid[])
returns bigint
language plpgsql
volatile
set search_path from current
set enable_hashjoin to off
set enable_mergejoin to off
set lock_timeout to '1s'
as $$
#variable_conflict use_column
declare
    v_rows     rollups[] := array(
        select case when d.recomputed is null then d.stored else d.recomputed end from unnest(drifts) d);
    v_inserted bigint;
    v_updated  bigint;
    v_deleted  bigint;
begin
    perform _queue_corrected(drifts);
    -- One statement inserts the missing rows and locks the existing ones (DO UPDATE ... WHERE false locks a row without changing it), so
    -- that all are locked in one order. The statements after it wait for no lock.
    with inserted as (
        insert into rollups as t
        select r.*
        from unnest(v_rows) r
        order by r.subject, r.metric, r.bucket, r.bucket_start, r.stripe
        on conflict (subject, metric, bucket, bucket_start, stripe) do update set event_count = t.event_count where false
        returning 1
    )
    select count(*) into v_inserted from inserted;
    if not exists (select from unnest(drifts) d where not d.stored is null) then  -- `is not null` would test every column
        return v_inserted;
    end if;
    with updated as (
        update rollups t
        set event_count = r.event_count, last_at = r.last_at, last_event_id = r.last_event_id,
            total = r.total, lowest = r.lowest, highest = r.highest, latest = r.latest
        from unnest(drifts, places) as d (subject, metric, bucket, bucket_start, stored, recomputed, members_drift, place)
        cross join lateral (select (d.recomputed).*) r
        where not d.recomputed is null and t.ctid = d.place and t = d.stored
        returning 1
    )
    select count(*) into v_updated from updated;
    with deleted as (
        delete from rollups t
        using unnest(drifts, places) as d (subject, metric, bucket, bucket_start, stored, recomputed, members_drift, place)
        where d.recomputed is null and t.ctid = d.place and t = d.stored
        returning 1
    )
    select count(*) into v_deleted from deleted;
    return v_inserted + v_updated + v_deleted;
end
$$;

comment on function _correct_rollups(rollup_drift[], tid[]) is
    'Makes drifting rollups equal the log, each only if it has not changed since it was read; returns how many were corrected.';

-- Adds what is missing while others record: setting a bit twice is harmless. A member or bit without an event (unfounded) can only come
-- from tampering. A concurrent record() may have read it and taken its member for counted, so the table is locked, which waits for all
-- recorders of members, before it is deleted. Unfounded ones sort first, so that the table is locked before any row.
-- The loop reads from a cursor over a sorted result, which PostgreSQL keeps on disk if it is large.
create or replace function _correct_members(subject text, metric text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_drift  member_drift;
    v_batch  member_drift[];
    v_locked boolean := false;
    v_again  boolean;
begin
    loop
        v_again := false;
        v_batch := '{}';
        for v_drift in
            select * from _member_drifts(_correct_members.subject, _correct_members.metric)
            order by unfounded desc, subject, metric, bucket, bucket_start, member_digest
        loop
            if v_drift.unfounded and not v_locked then
                v_again := true;
                exit;
            end if;
            v_batch := v_batch || v_drift;
            if cardinality(v_batch) = 10000 then
                perform _correct_member_rows(v_batch);
                v_batch := '{}';
            end if;
        end loop;
        exit when not v_again;
        perform _lock_tables('{unique_members}', 'share row exclusive');
        v_locked := true;
    end loop;
    perform _correct_member_rows(v_batch);
end
$$;

comment on function _correct_members(text, text) is 'Makes unique_members equal the log, for one subject and metric; null means all.';

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
    'Deletes rows of unique_members that claim more than the log, and inserts what is missing.';

create or replace function _lock_rebuild()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _lock('rebuild');
end
$$;

comment on function _lock_rebuild() is 'Takes the lock that allows one rebuild at a time, until the transaction ends.';

-- A row is found at its place: a row that has changed is at another one, or is not what it was. No other join than from place to place.
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
    -- Rows that are missing are inserted and rows that exist are locked (DO UPDATE locks what its WHERE then passes over), all in one
    -- statement, because only so is there one order. What follows waits for nobody.
    with inserted as (
        insert into rollups as t
        select r.*
        from unnest(v_rows) r
        order by r.subject, r.metric, r.bucket, r.bucket_start, r.stripe
        on conflict (subject, metric, bucket, bucket_start, stripe) do update set event_count = t.event_count where false
        returning 1
    )
    select count(*) into v_inserted from inserted;
    if not exists (select from unnest(drifts) d where not d.stored is null) then  -- `is not null` asks it of every column
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
    'Makes rollups what the log says, as far as they have not changed since they were found to drift; returns how many that were.';

-- What is missing is added while others record: bits are set twice without harm. What is unfounded, a member or a bit without an event, can
-- only come from tampering. Somebody may be recording that very member and have taken it for counted, so everybody who records members is
-- waited for before it is taken away. Unfounded ones come first, to lock the table before any row.
-- The loop reads a sorted result, which is kept on disk if it is large.
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

comment on function _correct_members(text, text) is
    'Makes unique_members equal the log for one subject and metric (null: all).';

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

comment on function _lock_rebuild() is 'Waits until no other transaction rebuilds, and keeps others from it until this one ends.';

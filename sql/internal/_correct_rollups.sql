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

create or replace function _correct_rollups(drifts rollup_drift[])
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_inserted bigint;
    v_updated  bigint;
    v_deleted  bigint;
begin
    -- Rows that are missing are inserted and rows that exist are locked (DO UPDATE locks what its WHERE then passes over), all in one
    -- statement, because only so is there one order. What follows waits for nobody.
    with inserted as (
        insert into rollups as t
        select r.*
        from unnest(drifts) d
        cross join lateral (select (case when d.recomputed is null then d.stored else d.recomputed end).*) r
        order by r.subject, r.metric, r.bucket, r.bucket_start, r.stripe
        on conflict (subject, metric, bucket, bucket_start, stripe) do update set event_count = t.event_count where false
        returning 1
    )
    select count(*) into v_inserted from inserted;
    with updated as (
        update rollups t
        set event_count = r.event_count, last_at = r.last_at, last_event_id = r.last_event_id,
            total = r.total, lowest = r.lowest, highest = r.highest, latest = r.latest
        from unnest(drifts) d
        cross join lateral (select (d.recomputed).*) r
        where r.subject is not null and t = d.stored
          and t.subject = r.subject and t.metric = r.metric
          and t.bucket = r.bucket and t.bucket_start = r.bucket_start and t.stripe = r.stripe
        returning 1
    )
    select count(*) into v_updated from updated;
    with deleted as (
        delete from rollups t
        using unnest(drifts) d
        cross join lateral (select (d.stored).*) s
        where d.recomputed is null and t = d.stored
          and t.subject = s.subject and t.metric = s.metric
          and t.bucket = s.bucket and t.bucket_start = s.bucket_start and t.stripe = s.stripe
        returning 1
    )
    select count(*) into v_deleted from deleted;
    return v_inserted + v_updated + v_deleted;
end
$$;

comment on function _correct_rollups(rollup_drift[]) is
    'Makes rollups what the log says, as far as they have not changed since they were found to drift; returns how many that were.';

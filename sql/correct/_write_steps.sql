-- Everything that needs no lock of a series comes first, because recorders wait for these locks. Corrections of a series exclude each other, so
-- what was planned is still so.
create or replace function _write_log(correction_id bigint, steps correction_step[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
begin
    -- The clock is read under this lock, which _log_barrier() looks for. No watermark is drawn meanwhile: that needs the locks of corrections.
    lock table only events in row exclusive mode;
    v_now := greatest(clock_timestamp(), (
        select max(r.recorded_after)
        from (select distinct s.series_id from unnest(steps) s) s
        cross join lateral (select r.recorded_after from series r where r.series_id = s.series_id and r.stripe = 0 offset 0) r));
    update event_kinds k set undone_by = s.event_id
    from unnest(steps) s
    where s.kind = 'void' and k.event_id = any (array[s.corrects]) and k.kind = 'void';
    insert into event_kinds (event_id, at, corrects, correction_id, series_id, counts, kind, recorded_at)
    select s.event_id, s.at, s.corrects, _write_log.correction_id, s.series_id, s.counts, s.kind, v_now from unnest(steps) s order by s.event_id;
    insert into amended_keys (digest, event_id, at, quantity, member)
    select s.digest, s.event_id, s.at, s.quantity, s.member
    from unnest(steps) s
    where s.kind = 'usage' and s.corrects is not null and s.digest is not null;
    insert into events (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
    select s.event_id, s.at, v_now, s.series_id, s.quantity, s.member, s.idempotency_key, s.metadata
    from unnest(steps) s
    order by s.series_id, s.at, s.event_id;
    insert into unreported (at, event_id, series_id, biller)
    select s.at, s.event_id, s.series_id, unnest(array_remove(m.billers, ''))  -- usage.recorded is about events that are recorded
    from unnest(steps) s join metrics m on m.key = s.metric
    where m.billers is not null;
end
$$;

comment on function _write_log(bigint, correction_step[]) is
    'Writes rows of a correction into the log, with their kinds, and queues them for billers.';

create or replace function _write_buckets(steps correction_step[])
returns setof corrected_bucket
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_plan    bucket_plan := _plan_buckets(steps);
    v_series  integer[] := array(select distinct s.series_id from unnest(v_plan.sums) s order by 1);
    v_whole   integer[] := array(
        select distinct s.series_id from unnest(v_plan.sums) s where s.aggregate in ('min', 'max', 'last', 'unique') order by 1);
    v_members member_change[];
    v_rows    series[];
    v_buckets corrected_bucket[];
begin
    if v_plan.members <> '{}' then
        lock table unique_members in row exclusive mode;
    end if;
    v_rows := _lock_series(v_series);
    if v_plan.members <> '{}' then
        v_members := array(select c from _member_changes(v_plan) c);
        perform _write_members(v_members);
    end if;
    v_buckets := array(select b from _corrected_buckets(v_plan, v_members) b);
    if v_whole <> v_series then
        perform _add_to_buckets(array(
            select ((b.after).bucket_start, (b.after).event_count - (b.before).event_count, (b.after).last_at, (b.after).series_id, 0,
                    (b.after).bucket, (b.after).total - (b.before).total, null, null, null)::rollups
            from unnest(v_buckets) b
            where b.aggregate in ('sum', 'count', 'avg')));
    end if;
    if v_whole <> '{}' then
        perform _merge_stripes(v_whole, array(select r from unnest(v_rows) r where r.series_id = any (v_whole) and r.stripe > 0));
        perform _replace_buckets(array(select b.after from unnest(v_buckets) b where b.aggregate not in ('sum', 'count', 'avg')));
    end if;
    return query select * from unnest(v_buckets);
exception when lock_not_available then
    perform _raise_busy('a series of the correction is locked');
end
$$;

comment on function _write_buckets(correction_step[]) is
    'Brings series, rollups and members up to date with rows that a correction has written into the log; returns the buckets that change. The rows '
    'of the series are locked until the transaction ends. Raises 55P03 if that takes longer than a second.';

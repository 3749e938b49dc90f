-- An interval without a unit means seconds, and "13 m" means minutes. The minimum of one day prevents such a typo from dropping the log.
create or replace function _check_keep(keep interval)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if not isfinite(keep) or keep not between interval '1 day' and interval '1000 years' or least(
        extract(year from keep), extract(month from keep), extract(day from keep),
        extract(hour from keep), extract(minute from keep), extract(second from keep)) < 0 then
        raise exception using
            errcode = '22023', message = 'keep is not between one day and 1000 years, or has negative parts', column = 'keep',
            detail = format('keep %s.', keep),
            hint = 'Pass how long to keep events, with a unit, such as 13 months. Null keeps all events.';
    end if;
end
$$;

comment on function _check_keep(interval) is
    'Raises 22023 for a retention time that is infinite, partly negative, shorter than one day or longer than 1000 years. Null is '
    'accepted.';

-- It takes as long as verify(), so maintain() calls it before it locks anything. After locking, maintain() counts the events again to detect
-- events that were recorded meanwhile. Event ids cannot detect them, because an event with a lower id may commit later. The events are
-- counted before they are verified, so that every counted event has been verified.
-- The block is rolled back at the end to release its locks: the lock against rebuild(), for which define_metric() waits before it blocks
-- recording, and the locks on tables, which could lead to a deadlock with sessions that wait for them.
-- Subjects that are elsewhere are left out, as by verify(): an unfinished move may have left events of one without rollups for good.
create or replace function _verify_months(months timestamptz[])
returns month_verdict[]
language plpgsql
volatile
set search_path from current
set work_mem to '128MB'
as $$
#variable_conflict use_column
declare
    v_verdicts month_verdict[];
    v_scope    integer[] := _series_in_scope(null, null, false);
begin
    v_verdicts := array(
        select (m.month, _partition_name(m.month), _count_partition_events(_partition_name(m.month)), m.dropped, 0)::month_verdict
        from log_months m
        where m.month = any (_verify_months.months)
          and pg_partition_root(to_regclass(_partition_name(m.month))) = 'events'::regclass
        order by m.month);
    if v_verdicts <> '{}' then
        perform _lock_rebuild();
        v_verdicts := array(
            with drifts as materialized (
                select bucket_start, _bucket_end(bucket, bucket_start) as bucket_end from _rollup_drifts(v_scope, with_members => true)
                union all
                select bucket_start, _bucket_end('month', bucket_start) from _dropped_month_drifts(v_scope)
            )
            select (v.month, v.partition_name, v.event_count, v.is_late, (
                select count(*) from drifts d where _overlaps_months(array[v.month], d.bucket_start, d.bucket_end)))::month_verdict
            from unnest(v_verdicts) v
            order by v.month);
    end if;
    raise savepoint_exception;
exception when savepoint_exception then
    return v_verdicts;
end
$$;

comment on function _verify_months(timestamptz[]) is
    'Returns those of the months that have a partition, each with the number of rollups and members that cover it and differ from the log.';

create or replace function _verify_expired_months(keep interval)
returns month_verdict[]
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_horizon timestamptz := (now() at time zone interval '0' - keep) at time zone interval '0';
begin
    return _verify_months(array(
        select m.month from log_months m
        where _bucket_end('month', m.month) <= v_horizon
          -- Who has restored a month wants it: its file could not be restored again if maintain() dropped it.
          and not exists (
              select from archives a
              where a.month = m.month and a.restored_at is not null
                and not exists (select from archives l where l.month = a.month and l.archived_at > a.restored_at))));
end
$$;

comment on function _verify_expired_months(interval) is
    'What _verify_months() returns for the months that ended before now() - keep, but for those that were restored from a file.';

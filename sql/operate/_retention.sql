-- An interval without a unit is read as seconds, and "13 m" as minutes: a floor of one day keeps a slip from dropping the whole log.
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
            errcode = '22023', message = 'keep is not from one day to 1000 years, or has parts that are negative', column = 'keep',
            detail = format('keep %s.', keep),
            hint = 'Give how long events are kept, with the unit, such as 13 months; null keeps them all.';
    end if;
end
$$;

comment on function _check_keep(interval) is
    'Refuses (22023) an infinite, negative, mixed, very short or very long time for which events are to be kept; null passes.';

-- This takes as long as verify() does, so it comes before maintain() locks anything; maintain() counts again once it has. That count is
-- what tells whether events came meanwhile: ids would not, as the event with a lower id may be the one that commits later. It is
-- therefore taken first: an event that is in it is also in what is compared.
-- All is done in a block that is rolled back in the end, so that its locks end here: the one against rebuild(), which define_metric() waits for
-- before it keeps everybody from recording, and those on tables, which could otherwise end in a deadlock with who waits for them.
create or replace function _judge_months(keep interval)
returns month_verdict[]
language plpgsql
volatile
set search_path from current
set work_mem to '128MB'
as $$
#variable_conflict use_column
declare
    v_horizon  timestamptz := (now() at time zone interval '0' - keep) at time zone interval '0';
    v_verdicts month_verdict[];
begin
    v_verdicts := array(
        select (m.month, _partition_name(m.month), _count_events(_partition_name(m.month)), m.dropped, 0)::month_verdict
        from log_months m
        where _bucket_end('month', m.month) <= v_horizon
          and pg_partition_root(to_regclass(_partition_name(m.month))) = 'events'::regclass
        order by m.month);
    if v_verdicts <> '{}' then
        perform _lock_rebuild();
        v_verdicts := array(
            with drifts as materialized (
                select (drift).bucket_start, _bucket_end((drift).bucket, (drift).bucket_start) as bucket_end
                from _rollup_drifts(null, null, with_members => true)
                union all
                select bucket_start, _bucket_end('month', bucket_start) from _dropped_month_drifts(null, null)
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

comment on function _judge_months(interval) is
    'The months that ended before now() - keep and still have a partition, and whether the rollups that cover them equal the log.';

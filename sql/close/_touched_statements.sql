-- A month of the log is looked through for what was recorded after the first watermark of the statements that hold a part of it: of calendar months
-- that is only what came late. The value that a period begins with may be from any time before it: so with such metrics, a month is looked through
-- from the first watermark of all later statements on, and months without statements, too. All that is before the first partition counts as one
-- month, and so does all that is after the last: a period may be of centuries.
create or replace function _touched_statements(since timestamptz, until timestamptz)
returns bigint[]
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_carry boolean := exists (select from metrics m where m.carry);
    v_range record;
    v_ids   bigint[] := array(select d.statement_id from dropped_late d);
    v_first timestamp := (select min(m.month) at time zone interval '0' - interval '1 month' from log_months m);
    v_last  timestamp := (select max(m.month) at time zone interval '0' + interval '1 month' from log_months m);
begin
    for v_range in
        select case when n.is_first or v_carry and lag(n.month) over w is null then '-infinity' else n.month end as since,
               case when n.is_last then 'infinity' when v_carry then coalesce(lead(n.month) over w, _bucket_end('month', n.month))
                    else _bucket_end('month', n.month) end as until,
               case when v_carry then min(n.watermark) over (order by n.month desc) else n.watermark end as watermark
        from (
            select g.month at time zone interval '0' as month, min(t.watermark) as watermark,
                   g.month = v_first as is_first, g.month = v_last as is_last
            from (
                select t.since, t.until, min(t.watermark) as watermark
                from statements t
                where (_touched_statements.since is null or t.until > _touched_statements.since)
                  and (_touched_statements.until is null or t.since < _touched_statements.until)
                group by 1, 2
            ) t
            cross join lateral generate_series(
                greatest(v_first, least(v_last, date_trunc('month', t.since at time zone interval '0'))),
                greatest(v_first, least(v_last, (t.until - interval '1 microsecond') at time zone interval '0')), interval '1 month') g (month)
            group by 1, 3, 4
        ) n
        window w as (order by n.month)
    loop
        v_ids := v_ids || array(select * from _touched_in(v_range.since, v_range.until, v_range.watermark));
    end loop;
    return array(
        select t.statement_id from statements t
        where t.statement_id = any (v_ids)
          and ((select _all_here()) or exists (select from sealed_subjects w where w.subject_id = t.subject_id and _is_here(w.subject)))
          and (_touched_statements.since is null or t.until > _touched_statements.since)
          and (_touched_statements.until is null or t.since < _touched_statements.until)
        order by 1);
end
$$;

comment on function _touched_statements(timestamptz, timestamptz) is
    'The statements that may have late usage, of periods that have a part in [since, until); null leaves a side open.';

create or replace function _touched_in(since timestamptz, until timestamptz, recorded_after timestamptz)
returns setof bigint
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select distinct t.statement_id
    from (
        select e.series_id, min(e.at) as first_at, max(e.at) as last_at, max(e.recorded_at) as recorded_at
        from events e
        where e.at >= _touched_in.since and e.at < _touched_in.until and e.recorded_at > _touched_in.recorded_after
        group by 1
    ) e
    join series s on s.series_id = e.series_id and s.stripe = 0
    join metrics m on m.key = s.metric
    join sealed_subjects w on w.subject = s.subject
    join statements t on t.subject_id = w.subject_id and t.until > e.first_at and (t.since <= e.last_at or m.carry) and t.watermark < e.recorded_at
    where ((select _all_here()) or _is_here(w.subject));
end
$$;

comment on function _touched_in(timestamptz, timestamptz, timestamptz) is
    'The statements of which the log in [since, until) may have rows that were recorded after their watermark; recorded_after: not after any of '
    'these.';

-- maintain() calls it before it locks the log, as _keep_totals().
create or replace function _keep_late(month timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into dropped_late (statement_id)
    select i.id
    from (select min(t.watermark) as watermark from statements t where t.until > _keep_late.month) w
    cross join lateral _touched_in(_keep_late.month, _bucket_end('month', _keep_late.month), w.watermark) i (id)
    where w.watermark is not null
    on conflict do nothing;
end
$$;

comment on function _keep_late(timestamptz) is
    'Notes which statements have late usage in a month of the log that is about to be dropped or detached.';

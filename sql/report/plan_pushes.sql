-- The DELETE removes only rows that were committed before it began. A later statement reads the buckets, so they hold all of that usage and
-- perhaps more. The rows of the additional usage stay on the queue until the next call, so nothing that commits meanwhile is missed.
-- Only the queue is read from end to end. A row's metric is looked up only if its time lies between the first and the last of the metrics'
-- cutoffs. OFFSET 0 makes a look-up for each row the only plan, whatever the statistics say.
create or replace function plan_pushes(
    biller text default 'stripe',
    open_hours boolean default true,
    max_rows integer default 10000,
    now timestamptz default now()
)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_biller    billers := case when not _is_open('plan_pushes') or _check_caller('plan_pushes') then _lock_planning(plan_pushes.biller) end;
    v_metrics   text[];
    v_cutoffs   timestamptz[];
    v_all_until timestamptz;
    v_any_until timestamptz;
    v_queued    unreported[];
    v_pushes    planned_push[];
    v_lanes     report_lanes[];
begin
    perform _check_max_rows(plan_pushes.max_rows), _check_time('now', plan_pushes.now, required => true),
        _check_journal(plan_pushes.biller), _require_durable_commit(), _keep_homes();
    if v_biller.sends = 'statements' then
        return _plan_statements(v_biller, plan_pushes.max_rows, plan_pushes.now);
    end if;
    select array_agg(metric), array_agg(until), coalesce(min(until), 'infinity'), coalesce(max(until), 'infinity')
    into v_metrics, v_cutoffs, v_all_until, v_any_until
    from _planning_cutoffs(v_biller, coalesce(plan_pushes.open_hours, true), plan_pushes.now);
    with taken as (
        delete from unreported where ctid = any (array(
            select u.ctid
            from unreported u
            where u.biller = plan_pushes.biller
              and ((select _all_here()) or exists (
                  select from series s where s.series_id = u.series_id and s.stripe = 0 and _is_home(s.subject)))
              and (u.at < v_all_until or u.at < v_any_until and (
                select coalesce(u.at < v_cutoffs[array_position(v_metrics, s.metric)], true)
                from series s
                where s.series_id = u.series_id and s.stripe = 0))
            limit plan_pushes.max_rows))
        returning unreported
    )
    select array_agg(unreported) into v_queued from taken;
    if v_queued is null then
        return 0;
    end if;

    v_pushes := array(select p from _candidate_pushes(v_biller, v_queued, plan_pushes.now) p);
    v_lanes := array(
        select distinct (plan_pushes.biller, p.customer, p.event_name, null, null, null, null)::report_lanes
        from unnest(v_pushes) p where p.state = 'planned');
    perform _lock_lanes(v_lanes);
    insert into reported as r (subject, metric, biller, bucket_start, quantity, as_events, pushes)
    select p.subject, p.metric, plan_pushes.biller, p.bucket_start,
           coalesce(sum(p.value::numeric - case when p.mode = 'last' then coalesce(d.quantity, 0) else 0 end)
                        filter (where p.event_id is null), 0),
           coalesce(sum(p.value::numeric) filter (where p.event_id is not null), 0), count(*) filter (where p.event_id is null)
    from unnest(v_pushes) p
    left join lateral (
        select d.quantity
        from reported d
        where d.subject = p.subject and d.metric = p.metric and d.biller = plan_pushes.biller and d.bucket_start = p.bucket_start
        offset 0
    ) d on true
    group by p.subject, p.metric, p.bucket_start
    on conflict (subject, metric, biller, bucket_start) do update set
        quantity = r.quantity + excluded.quantity, as_events = r.as_events + excluded.as_events,
        pushes = r.pushes + excluded.pushes;
    perform _insert_pushes(plan_pushes.biller, v_pushes, plan_pushes.now);
    perform _refresh_lanes(v_lanes, plan_pushes.now);
    return cardinality(v_queued);
end
$$;

comment on function plan_pushes(text, boolean, integer, timestamptz) is
    'Plans pushes for usage that has not been reported, and marks that usage as planned, in one transaction; for a biller of statements, a push for '
    'each line of the statements that wait. Returns how many rows of the queue were processed, at most max_rows: call it until it returns 0. '
    'Calls for the same biller run one after another. With open_hours false, the current hour is planned only if its period is about to end. '
    'Raises 55000 where the journal was restored or copied and has not been adopted (adopt_journal()), 22004 or 22023 for a bad value, 25001 in '
    'a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT meter.plan_pushes(now => ''2026-06-18 16:30+00'');';

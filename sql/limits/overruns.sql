create or replace function overruns(
    metric text default null, subject text default null, now timestamptz default now(), max_rows integer default 1000
)
returns setof overrun
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('overruns') then perform _check_caller('overruns'); end if;
    perform _check_max_rows(overruns.max_rows), _check_here(overruns.subject), _check_time('now', overruns.now, required => true);
    if overruns.metric is not null then
        perform _get_metric(overruns.metric);
    end if;
    return query
        select s.subject, s.metric, c.name, c.period, c.since, c.until, trim_scale(c.used), c.quota, trim_scale(c.overrun), m.unit,
               case when _was_covered(m, s.row, k.checks, c.limit_id, overruns.now) then 'top_up' else coalesce((
                   select coalesce(min(nullif(f.kind, 'correction')), 'correction')
                   from fired_marks f
                   where f.limit_id = c.limit_id and f.subject = s.subject and f.period_start = _marks_since(c)
                     and f.kind in ('overflow', 'settle', 'correction') having count(*) > 0), 'limit') end
        from metrics m
        cross join lateral (
            select s as row, s.metric, s.subject from series s where s.metric = m.key and s.stripe = 0
            union all
            -- Reserved, but never recorded.
            select _find_series_row(m, r.subject), m.key, r.subject
            from (select distinct r.subject from reservations r where r.metric = m.key and r.state = 'held') r
            where not exists (select from series s where s.metric = m.key and s.subject = r.subject and s.stripe = 0)
        ) s
        cross join lateral (select _period_checks(m, s.row, overruns.now) as checks offset 0) k
        cross join lateral unnest(k.checks) c
        where m.limited and (overruns.metric is null or m.key = overruns.metric) and (overruns.subject is null or s.subject = overruns.subject)
          and c.action = 'block' and c.overrun > 0 and ((select _all_here()) or _is_here(s.subject))
        order by s.metric, s.subject, c.name, c.period
        limit overruns.max_rows;
end
$$;

comment on function overruns(text, text, timestamptz, integer) is
    'Returns the limits that block and of which more is used and held than their quota and top-ups, in the period that contains now: '
    'everything there is beyond a quota, with its cause. The window of a trailing limit ends now. cause overflow: events were counted in '
    'spite of the limit; settle: more was settled than a reservation held; correction: a correction has raised the usage; top_up: a top-up '
    'that covered some of it was voided; limit: it was set, lowered or replaced when more had been used or was held. Looks at every series '
    'of the limited metrics, or of one metric or subject. Raises UM001 for an unknown metric, 22004 or 22023 for a bad value, UM008 for a subject '
    'that is on another shard or being moved. Example: '
    'BEGIN; SELECT quota FROM meter.set_limit(''tokens'', 10); SELECT outcome FROM meter.record(''acct_9'', ''tokens'', 15, overflow => '
    'true); SELECT subject, used, quota, overrun, cause FROM meter.overruns(subject => ''acct_9''); ROLLBACK;';

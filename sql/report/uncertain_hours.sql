create or replace function uncertain_hours(biller text default 'stripe', max_rows integer default 100, now timestamptz default now())
returns setof uncertain_hour
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('uncertain_hours') then perform _check_caller('uncertain_hours'); end if;
    perform _check_name('biller', uncertain_hours.biller, 100), _check_max_rows(uncertain_hours.max_rows),
        _check_time('now', uncertain_hours.now, required => true);
    return query
        select h.customer, h.event_name, h.hour, t.delivered, t.uncertain, t.uncertain_pushes
        from (
            select p.customer, p.event_name, _bucket_start('hour', p.stamped_at) as hour, min(p.due_at) as due_at
            from pushes p
            where p.biller = uncertain_hours.biller and p.state = 'uncertain' and p.next_attempt_at <= uncertain_hours.now
              and ((select _all_here()) or _is_here(p.subject))
            group by 1, 2, 3
        ) h
        cross join lateral _hour_totals(uncertain_hours.biller, h.customer, h.event_name, h.hour) t
        where t.in_flight = 0
        order by h.due_at, h.hour, h.customer, h.event_name
        limit uncertain_hours.max_rows;
end
$$;

comment on function uncertain_hours(text, integer, timestamptz) is
    'The hours that have uncertain pushes and whose totals should be fetched from the biller now, the earliest due first, at most max_rows. '
    'Pass each total to settle_hour(). Hours with a push that may still be sent are left out. Raises 22004 or 22023 for a bad value. '
    'Example: SELECT count(*) FROM meter.claim_pushes(''stripe'', ''worker_1'', now => ''2026-06-19 16:30+00'');
SELECT customer, hour, delivered_total, uncertain_total, uncertain_pushes FROM meter.uncertain_hours(now => ''2026-06-19 16:30+00'');';

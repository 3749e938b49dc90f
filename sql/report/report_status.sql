create or replace function report_status(biller text default 'stripe')
returns setof push_status
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers;
    v_found  push_status[];
begin
    if _is_open('report_status') then perform _check_caller('report_status'); end if;
    perform _check_name('biller', report_status.biller, 100);
    select * into v_biller from billers b where b.biller = report_status.biller;
    v_found := array(select f from _push_totals(report_status.biller) f) || array(select f from _unbilled_totals(v_biller) f) || array(
        select ('unplanned', count(*), sum(u.value - case when u.mode = 'last' then coalesce(d.quantity, 0) else 0 end),
                min(greatest(u.bucket_start, u.at)), u.metric)::push_status
        from _unplanned_usage(v_biller, array(
            select u from unreported u
            where u.biller = report_status.biller and ((select _all_here()) or exists (
                select from series s where s.series_id = u.series_id and s.stripe = 0 and _is_here(s.subject)))), now()) u
        left join reported d
            on d.subject = u.subject and d.metric = u.metric and d.biller = report_status.biller and d.bucket_start = u.bucket_start
        where u.customer is not null
        group by u.metric
    ) || array(
        select ('unmapped', count(*), sum(u.quantity), min(u.oldest), u.metric)::push_status
        from _unmapped_usage(v_biller) u group by u.metric);
    return query
        select s.state, coalesce(f.pushes, 0), coalesce(trim_scale(f.quantity), 0), f.oldest, m.metric
        from (
            select r.metric from report_metrics r where r.biller = report_status.biller
            union select f.metric from unnest(v_found) f
            -- A biller without mappings has rows of zeros, too.
            union all select null where v_found = '{}' and not exists (select from report_metrics r where r.biller = report_status.biller)
        ) m
        cross join unnest(array['planned', 'sending', 'delivered', 'resolved', 'uncertain', 'rejected', 'held', 'left', 'replaced',
                                'unplanned', 'unmapped']) with ordinality s (state, n)
        left join unnest(v_found) f on f.state = s.state and f.metric = m.metric
        order by m.metric, s.n;
end
$$;

comment on function report_status(text) is
    'How much of each metric that is or was reported to a biller (if it is told of statements: how much of each currency, in its minor units) is in '
    'each state, zeros included. Besides the states of pushes: unplanned '
    '(queued usage, as the pushes it will make) and unmapped (usage whose metric no longer has an event name or whose subject has no '
    'customer, as subjects). The quantities of all states except replaced add up to the usage; in mode last, only the latest value of a '
    'subject and period counts. Raises 22004 or 22023 for a bad name. Example: SELECT metric, state, pushes, quantity FROM '
    'meter.report_status() WHERE pushes > 0;';

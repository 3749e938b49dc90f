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
begin
    if _is_open('report_status') then perform _check_caller('report_status'); end if;
    perform _check_name('biller', report_status.biller, 100);
    select * into v_biller from billers b where b.biller = report_status.biller;
    return query
        select s.state, coalesce(p.pushes, 0), coalesce(trim_scale(p.quantity), 0), p.oldest
        from unnest(array['planned', 'sending', 'delivered', 'resolved', 'uncertain', 'rejected', 'held', 'left', 'replaced'])
            with ordinality s (state, n)
        left join (
            select p.state, count(*) as pushes, sum(p.value) as quantity, min(p.stamped_at) as oldest
            from pushes p where p.biller = report_status.biller group by 1
        ) p on p.state = s.state
        order by s.n;
    return query
        select 'unplanned', count(*), coalesce(trim_scale(sum(u.value)), 0), min(greatest(u.bucket_start, u.at))
        from _unplanned(v_biller, array(
            select u from unreported u where u.biller = report_status.biller), now()) u
        where u.customer is not null;
    return query
        select 'unmapped', count(*), coalesce(trim_scale(sum(u.quantity)), 0), min(u.oldest)
        from _unmapped(report_status.biller, v_biller.subject_is_customer) u;
end
$$;

comment on function report_status(text) is
    'How many pushes are in each state, zeros included; then unplanned (what waits to be planned, as the pushes that it makes) and unmapped '
    '(usage without an event name or a customer, as pairs of subject and metric). All of it but replaced adds up to the usage. '
    'Raises 22004 or 22023 for a bad name.';

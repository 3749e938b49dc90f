create or replace function reconciliation(biller text default 'stripe')
returns setof reconciliations
language sql
stable
security definer
set search_path from current
as $$
    select * from reconciliations r
    where r.biller = reconciliation.biller and r.difference <> 0 and (not _is_open('reconciliation') or _check_caller('reconciliation'))
    order by abs(r.difference) desc, r.range_start, r.customer, r.event_name, r.step
$$;

comment on function reconciliation(text) is
    'The comparisons with a biller''s totals that found a difference, the largest first. Example: SELECT customer, event_name, step, '
    'range_start, local, remote, difference FROM meter.reconciliation();';

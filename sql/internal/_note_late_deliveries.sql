create or replace function _note_late_deliveries(biller text, push_ids bigint[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    with late as (
        update pushes p set error = 'delivered after it had been replaced'
        where p.push_id = any (push_ids) and p.biller = _note_late_deliveries.biller and p.state = 'replaced' and p.mode <> 'last'
        returning p.customer, p.event_name, p.stamped_at
    )
    insert into reconciliations (biller, customer, event_name, step, range_start, recheck)
    select distinct _note_late_deliveries.biller, customer, event_name, 'hour', _bucket_start('hour', stamped_at), true from late
    order by 2, 3, 5
    on conflict (biller, customer, event_name, step, range_start) do update set recheck = true;
end
$$;

comment on function _note_late_deliveries(text, bigint[]) is
    'Puts the hours of pushes that are said to be delivered, but have been replaced by others, up for reconciliation.';

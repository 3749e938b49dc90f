create or replace function reconcile_range(
    biller text,
    customer text,
    event_name text,
    range_start timestamptz,
    step text,
    total numeric,
    now timestamptz default now()
)
returns reconciliations
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_local      numeric;
    v_comparison reconciliations;
begin
    if _is_open('reconcile_range') then perform _check_caller('reconcile_range'); end if;
    perform _check_name('biller', reconcile_range.biller, 100), _check_name('customer', reconcile_range.customer, 512),
        _check_name('event_name', reconcile_range.event_name, 100), _check_time('range_start', reconcile_range.range_start, required => true),
        _check_word('step', reconcile_range.step, '{hour,day}'), _check_total(reconcile_range.total),
        _check_time('now', reconcile_range.now, required => true);
    if _bucket_start(reconcile_range.step, reconcile_range.range_start) <> reconcile_range.range_start then
        raise exception using errcode = '22023', message = 'range_start is not the start of a step', column = 'range_start',
            hint = 'Pass it as reconcilable_ranges() returned it.';
    end if;
    select coalesce(trim_scale(sum(p.value)), 0) into v_local
    from pushes p
    where p.biller = reconcile_range.biller and p.customer = reconcile_range.customer and p.event_name = reconcile_range.event_name
      and p.stamped_at >= reconcile_range.range_start
      and p.stamped_at < _bucket_end(reconcile_range.step, reconcile_range.range_start) and p.state in ('delivered', 'resolved');
    insert into reconciliations as r (biller, customer, event_name, step, range_start, local, remote, difference, checked_at)
    values (reconcile_range.biller, reconcile_range.customer, reconcile_range.event_name, reconcile_range.step,
            reconcile_range.range_start, v_local, trim_scale(reconcile_range.total), trim_scale(reconcile_range.total) - v_local,
            reconcile_range.now)
    on conflict (biller, customer, event_name, step, range_start) do update set
        local = excluded.local, remote = excluded.remote, difference = excluded.difference, checked_at = excluded.checked_at,
        recheck = false
    returning * into v_comparison;
    -- A matching day clears its hours' recheck flags.
    if v_comparison.difference = 0 and reconcile_range.step = 'day' then
        update reconciliations r set recheck = false
        where r.biller = reconcile_range.biller and r.customer = reconcile_range.customer and r.event_name = reconcile_range.event_name
          and r.step = 'hour' and r.recheck and r.range_start >= reconcile_range.range_start
          and r.range_start < _bucket_end('day', reconcile_range.range_start);
    end if;
    return v_comparison;
end
$$;

comment on function reconcile_range(text, text, text, timestamptz, text, numeric, timestamptz) is
    'Compares the biller''s total for an hour or a day with the sum of what was delivered, exactly; stores and returns the comparison. '
    'Raises 22004 or 22023 for a bad value. Example: SELECT local, remote, difference FROM meter.reconcile_range(''stripe'', ''cus_42'', '
    '''api_tokens'', ''2026-06-17 00:00+00'', ''day'', total => 100, now => ''2026-06-19 16:30+00'');';

create or replace function _hour_totals(biller text, customer text, event_name text, hour timestamptz)
returns table (delivered numeric, uncertain numeric, uncertain_pushes bigint, in_flight bigint)
language sql
stable
set search_path from current
as $$
    select coalesce(sum(p.value) filter (where p.state in ('delivered', 'resolved')), 0),
           coalesce(sum(p.value) filter (where p.state = 'uncertain'), 0), count(*) filter (where p.state = 'uncertain'),
           count(*) filter (where p.state in ('planned', 'sending') and p.unsure_attempts > 0)
    from pushes p
    where p.biller = _hour_totals.biller and p.customer = _hour_totals.customer and p.event_name = _hour_totals.event_name
      and p.stamped_at >= _hour_totals.hour and p.stamped_at < _bucket_end('hour', _hour_totals.hour)
$$;

comment on function _hour_totals(text, text, text, timestamptz) is
    'What a biller''s total for an hour may consist of: what was delivered, what is uncertain, and how many pushes may become either.';

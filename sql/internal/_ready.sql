-- Waiting for an hour to end saves pushes; for single events there is nothing to save. Periods consist of whole hours, or else are
-- shorter than a day and do not wait for an invoice.
create or replace function _ready(biller billers, open_hours boolean, now timestamptz)
returns table (metric text, until timestamptz)
language sql
stable
set search_path from current
as $$
    select r.metric, case
        when r.mode = 'event' then _shift(now, (_ready.biller).max_ahead)
        when open_hours or (
            m.period in ('day', 'week', 'month', 'year')
            and _bucket_end(m.period, _bucket_start(m.period, now)) <= _shift(now, (_ready.biller).grace)
        ) then least(_bucket_end('hour', _bucket_start('hour', now)), _shift(now, (_ready.biller).max_ahead))
        else _bucket_start('hour', now)
    end
    from report_metrics r
    join metrics m on m.key = r.metric
    where r.biller = (_ready.biller).biller and r.event_name is not null
$$;

comment on function _ready(billers, boolean, timestamptz) is
    'The metrics that are reported to a biller, and up to which time their usage is planned now: not what lies too far ahead, and of the '
    'hour that is open only single events, unless it is asked for or the period is about to end.';

-- What its subject or metric is no longer mapped to does not count: a person has decided that the other one takes its place.
create or replace function _has_rival(
    biller billers, subject text, metric text, customer text, event_name text, since timestamptz, until timestamptz
)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return exists (
        select from pushes p
        join report_metrics r on r.biller = p.biller and r.metric = p.metric and r.event_name = p.event_name
        left join report_subjects s on s.subject = p.subject and s.biller = p.biller
        where p.biller = (_has_rival.biller).biller and p.customer = _has_rival.customer and p.event_name = _has_rival.event_name
          and p.stamped_at >= _has_rival.since and p.stamped_at < _has_rival.until
          and p.mode = 'last' and p.state not in ('held', 'left', 'rejected', 'replaced')
          and (p.subject, p.metric) <> (_has_rival.subject, _has_rival.metric)
          and _customer(s.customer, p.subject, (_has_rival.biller).subject_is_customer) = p.customer);
end
$$;

comment on function _has_rival(billers, text, text, text, text, timestamptz, timestamptz) is
    'Whether another subject or metric that is mapped to the same customer and event name has a value of mode last that was or will be '
    'sent for the period [since, until).';

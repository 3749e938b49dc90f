create or replace function _event_detail(subject text, metric text, quantity numeric, member text, at timestamptz)
returns text
language sql
stable parallel safe
as $$
    select format('subject %s, metric %s, quantity %s, member %s, at %s.',
        quote_nullable(left(subject, 80)), quote_nullable(left(metric, 80)), coalesce(left(quantity::text, 40), 'null'),
        quote_nullable(left(member, 80)), coalesce(to_char(at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'null'))
$$;

comment on function _event_detail(text, text, numeric, text, timestamptz) is
    'The DETAIL of an error about an event: its values, cut to a readable length.';

-- Texts for people: no part of the contract.
create or replace function _days_text(part numeric, whole numeric)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case when round(part, 3) % 86400 = 0 and round(whole, 3) % 86400 = 0
        then format('%s of %s days', trim_scale(round(part / 86400)), trim_scale(round(whole / 86400)))
        else format('%s of %s', _span_text(part), _span_text(whole)) end
$$;

comment on function _days_text(numeric, numeric) is
    'A part of a time for people, both in seconds, such as: 12 of 31 days, or: 26 days 2 hours of 30 days.';

create or replace function _span_text(seconds numeric)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when seconds < 60 then 'less than a minute'
        when seconds < 7200 then case round(seconds / 60) when 1 then '1 minute' else round(seconds / 60) || ' minutes' end
        else concat_ws(' ',
            case div(r.hours, 24) when 0 then null when 1 then '1 day' else div(r.hours, 24) || ' days' end,
            case r.hours % 24 when 0 then null when 1 then '1 hour' else r.hours % 24 || ' hours' end) end
    from (values (round(seconds / 3600))) r (hours)
$$;

comment on function _span_text(numeric) is 'A time in seconds for people, to the hour, or under two hours to the minute: 26 days 2 hours.';

create or replace function _value_text(aggregate text, value numeric)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select format(case aggregate when 'max' then 'at most %s' when 'min' then 'at least %s' when 'avg' then '%s on average'
                                 when 'last' then '%s at the end' else '%s different ones' end, trim_scale(value))
$$;

comment on function _value_text(text, numeric) is 'The value of a metric that is no sum or count for people, such as: at most 10.';

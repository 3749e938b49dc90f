create or replace function _metric_problem(
    key text, aggregate text, unit text, period text, rollup text, max_future interval, carry boolean
)
returns text
language sql
immutable parallel safe
as $$
    select case
        when key is null then 'key is null'
        when btrim(key, E' \t\n\r\f\x0b') = '' then 'key is blank'
        when length(key) > 512 then 'key is longer than 512 characters'
        when octet_length(key) > 2000 then 'key is longer than 2000 bytes'
        when aggregate is null then 'aggregate is null'
        when aggregate not in ('count', 'sum', 'min', 'max', 'avg', 'last', 'unique') then 'aggregate is not a known one'
        when unit is null then 'unit is null'
        when btrim(unit, E' \t\n\r\f\x0b') = '' then 'unit is blank'
        when length(unit) > 512 then 'unit is longer than 512 characters'
        when period not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never') then 'period is not a known one'
        when rollup not in ('hour', 'day', 'none') then 'rollup is not a known one'
        -- Also one of parts with both signs: what it amounts to depends on the month, and may be less than nothing.
        when max_future < interval '0' or least(
                extract(year from max_future), extract(month from max_future), extract(day from max_future),
                extract(hour from max_future), extract(minute from max_future), extract(second from max_future)) < 0
            then 'max_future is negative'
        when max_future > interval '100 years' then 'max_future is more than 100 years'
        when carry and aggregate <> 'last' then 'carry is only for last'
    end
$$;

comment on function _metric_problem(text, text, text, text, text, interval, boolean) is
    'What is wrong with a definition of a metric, as the message of an error; null if nothing is.';

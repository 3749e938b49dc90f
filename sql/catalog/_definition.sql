create or replace function _merged_definition(
    old metrics, key text, aggregate text, unit text, name text, description text, period text, rollup text, striped boolean,
    max_future interval, carry boolean
)
returns metrics
language plpgsql
stable
set search_path from current
as $$
declare
    v_new metrics := old;
begin
    v_new.key := key;
    v_new.aggregate := aggregate;
    v_new.unit := unit;
    v_new.name := nullif(coalesce(name, old.name), '');
    v_new.description := nullif(coalesce(description, old.description), '');
    v_new.period := coalesce(period, old.period, 'month');
    v_new.rollup := coalesce(rollup, old.rollup, 'hour');
    v_new.striped := coalesce(striped, old.striped, false);
    -- A metric that was striped may still have stripes; maintain() clears the flag once they are merged.
    v_new.may_have_stripes := v_new.striped or coalesce(old.may_have_stripes, false);
    v_new.max_future := coalesce(max_future, old.max_future, interval '1 day');
    v_new.carry := coalesce(carry, old.carry and aggregate = 'last', false);
    v_new.defined_at := coalesce(old.defined_at, now());
    v_new.retired_at := null;
    return v_new;
end
$$;

comment on function _merged_definition(metrics, text, text, text, text, text, text, text, boolean, interval, boolean) is
    'Merges the arguments of define_metric() into a stored definition: null keeps what is stored, or takes the default for a new metric.';

create or replace function _check_metric(metric metrics)
returns void
language plpgsql
immutable
set search_path from current
as $$
declare
    v_problem text := _metric_problem(metric.key, metric.aggregate, metric.unit, metric.period, metric.rollup, metric.max_future, metric.carry);
begin
    if v_problem is not null then
        raise exception using
            errcode = case when v_problem like '% is null' then '22004' else '22023' end,
            message = v_problem, column = split_part(v_problem, ' ', 1),
            detail = format('key %s, aggregate %s, unit %s, period %s, rollup %s.',
                quote_nullable(left(metric.key, 80)), quote_nullable(left(metric.aggregate, 80)), quote_nullable(left(metric.unit, 80)),
                quote_nullable(left(metric.period, 80)), quote_nullable(left(metric.rollup, 80))),
            hint = 'aggregate: count, sum, min, max, avg, last, unique. period: minute, hour, day, week, month, year, never. '
                'rollup: hour, day, none. carry: only with last.';
    end if;
end
$$;

comment on function _check_metric(metrics) is 'Refuses (22004, 22023) a definition that has a bad value.';

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

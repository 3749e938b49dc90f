create or replace function _merged_definition(
    old metrics, key text, aggregate text, unit text, name text, description text, period text, rollup text, striped boolean,
    max_future interval, carry boolean, after_close text
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
    v_new.max_future := coalesce(max_future, old.max_future, interval '1 day');
    v_new.carry := coalesce(carry, old.carry and aggregate = 'last', false);
    v_new.after_close := coalesce(after_close, old.after_close, 'accept');
    v_new.defined_at := coalesce(old.defined_at, now());
    v_new.retired_at := null;
    return v_new;
end
$$;

comment on function _merged_definition(metrics, text, text, text, text, text, text, text, boolean, interval, boolean, text) is
    'Merges the arguments of define_metric() into a stored definition: null keeps what is stored, or takes the default for a new metric.';

-- Every rule for a definition, with its condition, SQLSTATE, column, message and hint. The first broken rule is the one that is reported.
-- A condition that is null is not broken.
create or replace function _metric_rules(metric metrics)
returns table (is_broken boolean, sqlstate text, parameter text, message text, hint text)
language plpgsql
immutable
set search_path from current
as $$
declare
    v_future interval := metric.max_future;
begin
    return query values
        (metric.key is null, '22004', 'key', 'key is null', 'Give the metric a name, such as tokens.'),
        (_is_blank(metric.key), '22023', 'key', 'key is blank', 'Give the metric a name, such as tokens.'),
        (length(metric.key) > 512, '22023', 'key', 'key is longer than 512 characters', 'Use a shorter name.'),
        (octet_length(metric.key) > 2000, '22023', 'key', 'key is longer than 2000 bytes', 'Use a shorter name.'),
        (metric.aggregate is null, '22004', 'aggregate', 'aggregate is null', 'Use count, sum, min, max, avg, last or unique.'),
        (metric.aggregate not in ('count', 'sum', 'min', 'max', 'avg', 'last', 'unique'), '22023', 'aggregate',
            'unknown aggregate', 'Use count, sum, min, max, avg, last or unique.'),
        (metric.unit is null, '22004', 'unit', 'unit is null', 'Give what one unit is, such as token or GB.'),
        (_is_blank(metric.unit), '22023', 'unit', 'unit is blank', 'Give what one unit is, such as token or GB.'),
        (length(metric.unit) > 512, '22023', 'unit', 'unit is longer than 512 characters', 'Use a shorter unit.'),
        (metric.period not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never'), '22023', 'period',
            'unknown period', 'Use minute, hour, day, week, month, year or never.'),
        (metric.rollup not in ('minute', 'hour', 'day', 'none'), '22023', 'rollup', 'unknown rollup', 'Use minute, hour, day or none.'),
        -- No part may be negative: whether an interval of both signs is negative as a whole depends on the month that it is added to.
        (least(extract(year from v_future), extract(month from v_future), extract(day from v_future),
               extract(hour from v_future), extract(minute from v_future), extract(second from v_future)) < 0,
            '22023', 'max_future', 'max_future is negative', 'Give how far ahead of the clock an event may be, such as 1 day.'),
        (v_future > interval '100 years', '22023', 'max_future', 'max_future is more than 100 years', 'Give a shorter interval.'),
        (metric.carry and metric.aggregate <> 'last', '22023', 'carry', 'carry needs the aggregate last', 'Leave carry out, or use last.'),
        (metric.after_close not in ('accept', 'refuse'), '22023', 'after_close', 'unknown word for after_close', 'Use accept or refuse.');
end
$$;

comment on function _metric_rules(metrics) is 'Every rule for the definition of a metric in order of precedence, and whether it is broken.';

create or replace function _check_metric(metric metrics)
returns void
language plpgsql
immutable
set search_path from current
as $$
declare
    v_rule record;
begin
    select * into v_rule from _metric_rules(metric) where is_broken limit 1;
    if found then
        raise exception using
            errcode = v_rule.sqlstate, message = v_rule.message, hint = v_rule.hint, column = v_rule.parameter,
            detail = format('key %s, aggregate %s, unit %s, period %s, rollup %s.',
                coalesce(quote_literal(left(metric.key, 80)), 'null'), coalesce(quote_literal(left(metric.aggregate, 80)), 'null'),
                coalesce(quote_literal(left(metric.unit, 80)), 'null'), coalesce(quote_literal(left(metric.period, 80)), 'null'),
                coalesce(quote_literal(left(metric.rollup, 80)), 'null'));
    end if;
end
$$;

comment on function _check_metric(metrics) is 'Raises 22004 or 22023 for a definition that breaks a rule.';

-- What a statement says would differ from the log, although nothing came later. A retired metric carries no value into later periods.
create or replace function _check_carry(old metrics, new metrics)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if old.carry <> new.carry and exists (select from statement_lines l where l.metric = old.key) then
        raise exception using
            errcode = 'UM002', message = 'cannot change the carry of a metric that is on a statement', column = 'carry',
            detail = format('metric %s, carry %s.', quote_literal(old.key), old.carry),
            hint = 'Define a new metric under another key, and retire this one.';
    elsif new.carry and old.retired_at is not null and exists (
        select from statements t
        where t.until > old.retired_at
          and (t.since >= old.retired_at or t.part_starts[cardinality(t.part_starts)] >= old.retired_at))
    then
        raise exception using
            errcode = 'UM002', message = 'cannot bring back a metric with carry after periods were closed without it', column = 'key',
            detail = format('metric %s, retired at %s.', quote_literal(old.key),
                            to_char(old.retired_at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Define a new metric under another key: this one would carry its last value into the closed periods.';
    end if;
end
$$;

comment on function _check_carry(metrics, metrics) is
    'Raises UM002 if carry would change and a statement has a line of the metric, or if a metric with carry would be in use again and a period that '
    'began after it was retired is closed.';

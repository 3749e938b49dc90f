create or replace function define_metric(
    key text,
    aggregate text,
    unit text,
    name text default null,
    description text default null,
    period text default 'month',
    rollup text default 'hour',
    striped boolean default false,
    max_future interval default '1 day'
)
returns metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_problem text;
    v_old     metrics;
    v_metric  metrics;
begin
    v_problem := _metric_problem(
        define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.period, define_metric.rollup,
        define_metric.striped, define_metric.max_future);
    if v_problem is not null then
        raise exception using
            errcode = case when v_problem like '% is null' then '22004' else '22023' end,
            message = v_problem, column = split_part(v_problem, ' ', 1),
            detail = format('key %s, aggregate %s, unit %s, period %s, rollup %s.',
                quote_nullable(left(define_metric.key, 80)), quote_nullable(left(define_metric.aggregate, 80)),
                quote_nullable(left(define_metric.unit, 80)), quote_nullable(left(define_metric.period, 80)),
                quote_nullable(left(define_metric.rollup, 80))),
            hint = 'aggregate: count, sum, min, max, avg, last, unique. period: minute, hour, day, week, month, year, never. '
                'rollup: hour, day, none.';
    end if;

    -- One definition at a time: two that both wait to lock the catalog would wait for each other.
    perform pg_advisory_xact_lock(hashtextextended(format('%s define_metric', current_schema()), 0));
    insert into metrics (key, aggregate, unit, name, description, period, rollup, striped, max_future, defined_at)
    values (define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.name, define_metric.description,
            define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future, now())
    on conflict (key) do nothing
    returning * into v_metric;
    if v_metric.key is not null then
        return v_metric;
    end if;

    select * into strict v_old from metrics where key = define_metric.key;
    if (v_old.aggregate, v_old.period, v_old.rollup)
        is distinct from (define_metric.aggregate, define_metric.period, define_metric.rollup) then
        perform _lock_definition(v_old, define_metric.aggregate, define_metric.period);
    end if;
    update metrics m set
        aggregate = define_metric.aggregate, unit = define_metric.unit, name = define_metric.name,
        description = define_metric.description, period = define_metric.period, rollup = define_metric.rollup,
        striped = define_metric.striped, max_future = define_metric.max_future, retired_at = null
    where m.key = define_metric.key
      and (m.aggregate, m.unit, m.name, m.description, m.period, m.rollup, m.striped, m.max_future, m.retired_at)
          is distinct from (define_metric.aggregate, define_metric.unit, define_metric.name, define_metric.description,
                            define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future, null);
    if v_old.rollup <> define_metric.rollup then
        perform rebuild(metric => define_metric.key);
    end if;
    select * into strict v_metric from metrics where key = define_metric.key;
    perform _check_mappings(v_metric);
    return v_metric;
end
$$;

comment on function define_metric(text, text, text, text, text, text, text, boolean, interval) is
    'Defines a metric, or changes it; the same definition again changes nothing; a retired metric comes back into use. '
    'A changed rollup is rebuilt from the log at once, while recording waits. '
    'Raises UM002 if the aggregate or period of a metric with events would change, the rollup of one with dropped partitions, or what the '
    'mode it is reported in needs; '
    '22004 or 22023 for a bad value; 25001 if aggregate, period or rollup would change in a REPEATABLE READ or SERIALIZABLE '
    'transaction; 55P03 if it has to wait for other transactions for more than 5 seconds.';

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

    -- What recording depends on changes only while nobody records: this lock waits for every transaction that has read the catalog.
    select * into v_old from metrics where key = define_metric.key;
    if (v_old.aggregate, v_old.period, v_old.rollup)
        is distinct from (define_metric.aggregate, define_metric.period, define_metric.rollup) and v_old.key is not null then
        lock table metrics in access exclusive mode;
        select * into v_old from metrics where key = define_metric.key;
        if (v_old.aggregate, v_old.period) is distinct from (define_metric.aggregate, define_metric.period)
            and _metric_has_events(define_metric.key) then
            raise exception using
                errcode = 'UM002', message = 'a metric that has events keeps its aggregate and period', column = 'aggregate',
                detail = format('%s is %s by %s.', quote_literal(define_metric.key), v_old.aggregate, v_old.period),
                hint = 'Define a metric under another key, and retire this one.';
        end if;
    end if;

    insert into metrics as m (key, aggregate, unit, name, description, period, rollup, striped, max_future, defined_at)
    values (define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.name, define_metric.description,
            define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future, now())
    on conflict (key) do update set
        aggregate = excluded.aggregate, unit = excluded.unit, name = excluded.name, description = excluded.description,
        period = excluded.period, rollup = excluded.rollup, striped = excluded.striped, max_future = excluded.max_future,
        retired_at = null
    where (m.aggregate, m.unit, m.name, m.description, m.period, m.rollup, m.striped, m.max_future, m.retired_at)
        is distinct from (excluded.aggregate, excluded.unit, excluded.name, excluded.description, excluded.period,
                          excluded.rollup, excluded.striped, excluded.max_future, null);
    if v_old.rollup is distinct from define_metric.rollup and v_old.key is not null then
        perform rebuild(metric => define_metric.key);
    end if;

    select * into strict v_metric from metrics where key = define_metric.key;
    return v_metric;
end
$$;

comment on function define_metric(text, text, text, text, text, text, text, boolean, interval) is
    'Defines a metric, or changes it; the same definition again changes nothing; a retired metric comes back into use. '
    'A changed rollup is rebuilt from the log at once. '
    'Raises UM002 if the aggregate or period of a metric with events would change, 22004 or 22023 for a bad value.';

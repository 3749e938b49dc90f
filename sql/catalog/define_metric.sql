create or replace function define_metric(
    key text,
    aggregate text,
    unit text,
    name text default null,
    description text default null,
    period text default null,
    rollup text default null,
    striped boolean default null,
    max_future interval default null,
    carry boolean default null
)
returns metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_old    metrics;
    v_new    metrics;
    v_metric metrics;
begin
    if _is_open('define_metric') then perform _check_caller('define_metric'); end if;
    -- Bad values are refused before anything is locked.
    v_new := _merged_definition(null, define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.name,
        define_metric.description, define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future,
        define_metric.carry);
    perform _check_definition(v_new);

    -- One definition at a time: two that both wait to lock the catalog would wait for each other.
    perform _lock('catalog');
    insert into metrics select v_new.* on conflict (key) do nothing returning * into v_metric;
    if v_metric.key is not null then
        return v_metric;
    end if;

    select * into strict v_old from metrics where key = define_metric.key;
    v_new := _merged_definition(v_old, define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.name,
        define_metric.description, define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future,
        define_metric.carry);
    perform _check_definition(v_new);
    if (v_old.aggregate, v_old.period, v_old.rollup) is distinct from (v_new.aggregate, v_new.period, v_new.rollup) then
        perform _lock_definition(v_old, v_new.aggregate, v_new.period);
    end if;
    update metrics m set
        aggregate = v_new.aggregate, unit = v_new.unit, name = v_new.name, description = v_new.description, period = v_new.period,
        rollup = v_new.rollup, striped = v_new.striped, max_future = v_new.max_future, carry = v_new.carry,
        may_have_stripes = v_new.may_have_stripes, retired_at = null
    where m.key = define_metric.key and v_new is distinct from v_old;
    if v_old.rollup <> v_new.rollup then
        perform rebuild(metric => define_metric.key);
    end if;
    select * into strict v_metric from metrics where key = define_metric.key;
    perform _check_reported_definition(v_metric);
    return v_metric;
end
$$;

comment on function define_metric(text, text, text, text, text, text, text, boolean, interval, boolean) is
    'Defines a metric, or changes it; a retired metric comes back into use. What is null stays as it is; a new metric begins with period '
    'month, rollup hour, max_future 1 day, neither striped nor carried. An empty name or description removes it. The same definition '
    'again changes nothing. carry, for last: a window without events has the last value from before it. '
    'A changed rollup is rebuilt from the log at once, while recording waits. '
    'Raises UM002 if the aggregate or period of a metric with events would change, the rollup of one with dropped partitions, or what the '
    'mode it is reported in needs; '
    '22004 or 22023 for a bad value; 25001 if aggregate, period or rollup would change in a REPEATABLE READ or SERIALIZABLE '
    'transaction; 55P03 if it has to wait for other transactions for more than 5 seconds.';

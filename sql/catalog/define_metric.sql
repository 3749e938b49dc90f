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
    carry boolean default null,
    after_close text default null
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
    -- Refuse bad values before taking any lock.
    v_new := _merged_definition(null, define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.name,
        define_metric.description, define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future,
        define_metric.carry, define_metric.after_close);
    perform _check_metric(v_new);

    -- One definition at a time: two that upgrade their lock on the catalog would deadlock.
    perform _lock('catalog');
    if not exists (select from metrics m where m.key = define_metric.key) then
        perform _lock('new metric');  -- watermarks wait for this transaction, which may record for the metric
    end if;
    insert into metrics (key, aggregate, unit, name, description, period, rollup, striped, max_future, carry, after_close, defined_at,
                         billers)
    values (v_new.key, v_new.aggregate, v_new.unit, v_new.name, v_new.description, v_new.period, v_new.rollup, v_new.striped,
            v_new.max_future, v_new.carry, v_new.after_close, v_new.defined_at, _billers_of_new_metric())
    on conflict (key) do nothing
    returning * into v_metric;
    if v_metric.key is not null then
        perform _log_change('define_metric', v_metric.key, null, to_jsonb(v_metric)),
            _notify('metric.defined', null, v_metric.key, to_jsonb(v_metric));
        return v_metric;
    end if;

    select * into strict v_old from metrics where key = define_metric.key;
    v_new := _merged_definition(v_old, define_metric.key, define_metric.aggregate, define_metric.unit, define_metric.name,
        define_metric.description, define_metric.period, define_metric.rollup, define_metric.striped, define_metric.max_future,
        define_metric.carry, define_metric.after_close);
    perform _check_metric(v_new);
    if (v_old.aggregate, v_old.period, v_old.rollup) is distinct from (v_new.aggregate, v_new.period, v_new.rollup) then
        perform _lock_definition(v_old, v_new.aggregate, v_new.period);
    end if;
    if v_new is distinct from v_old then
        perform _lock_metric(define_metric.key);
    end if;
    perform _check_carry(v_old, v_new);
    if v_old.rollup <> v_new.rollup then
        perform _close_series(v_old.key);
    end if;
    update metrics m set
        aggregate = v_new.aggregate, unit = v_new.unit, name = v_new.name, description = v_new.description, period = v_new.period,
        rollup = v_new.rollup, striped = v_new.striped, max_future = v_new.max_future, carry = v_new.carry,
        after_close = v_new.after_close, retired_at = null, revision = m.revision + 1
    where m.key = define_metric.key and v_new is distinct from v_old;
    select * into strict v_metric from metrics where key = define_metric.key;
    if v_old.rollup <> v_new.rollup then
        perform _reset_series(v_metric);
        perform rebuild(metric => v_metric.key);
    end if;
    perform _check_reported_definition(v_metric), _log_change('define_metric', v_metric.key, to_jsonb(v_old), to_jsonb(v_metric));
    if v_metric is distinct from v_old then
        perform _notify('metric.updated', null, v_metric.key, to_jsonb(v_metric) || jsonb_build_object('before', to_jsonb(v_old)));
    end if;
    return v_metric;
end
$$;

comment on function define_metric(text, text, text, text, text, text, text, boolean, interval, boolean, text) is
    'Defines a metric, or changes it. Defining a retired metric brings it back into use. Repeating a definition changes nothing, so an application '
    'may define its metrics at every start. aggregate: count, sum, min, max, avg, last or unique. period: minute, hour, day, week, month, year or '
    'never. rollup: minute, hour, day or none. max_future: how far ahead of the database''s clock an event may be. striped: spreads the writers of '
    'a busy subject over several rows. carry, only with last: a window without events has the last value from before it. after_close: what '
    'record() does with a new event of a period that was closed for the subject (close_period()): accept it as late usage, or refuse it (UM004). '
    'An argument that is null keeps what is stored; a new metric starts with period month, rollup hour, max_future 1 day, striped false, carry '
    'false and after_close accept. An empty name or description removes it. A new rollup is rebuilt from the log at once, and recording waits '
    'meanwhile. Returns the metric. Raises 22004 or 22023 for a bad value; UM002 if the aggregate or period of a metric that has events would '
    'change, the carry of one that is on a statement, or the rollup of one with dropped partitions, or anything that its reporting mode needs, or '
    'if one with carry was retired and a later period is closed; '
    '25001 if the aggregate, period or rollup would change in a REPEATABLE READ or SERIALIZABLE transaction; 55P03 if it waits longer than 5 '
    'seconds for transactions that use the catalog. Example: SELECT key, aggregate, unit, period, rollup, max_future FROM '
    'meter.define_metric(''tokens'', ''sum'', ''token'');';

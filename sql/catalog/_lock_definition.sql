-- The rows of series hold open buckets of the kinds that the period and rollup give, so these change only while nobody records: the lock
-- waits for every transaction that has read the catalog.
create or replace function _lock_definition(metric metrics, new_aggregate text, new_period text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key text := (_lock_definition.metric).key;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'changing an aggregate, period or rollup needs a READ COMMITTED transaction',
            hint = 'Use a transaction of its own: an older snapshot may miss events.';
    end if;
    perform _lock_rebuild();
    perform _lock_tables('{metrics}', 'access exclusive');
    if (metric.aggregate, metric.period) is distinct from (new_aggregate, new_period) then
        if _metric_has_events(v_key) then
            raise exception using
                errcode = 'UM002', message = 'cannot change the aggregate or period of a metric that has events',
                column = case when metric.aggregate <> new_aggregate then 'aggregate' else 'period' end,
                detail = format('metric %s, aggregate %s, period %s.', quote_literal(v_key), metric.aggregate, metric.period),
                hint = 'Define a new metric under another key, and retire this one.';
        end if;
    elsif exists (
        select from buckets b
        where b.metric = v_key
          and _overlaps_months(array(select _dropped_months()), b.bucket_start, _bucket_end(b.bucket, b.bucket_start))
    ) then
        raise exception using
            errcode = 'UM002', message = 'cannot change the rollup of a metric with events in dropped partitions', column = 'rollup',
            detail = format('metric %s, rollup %s.', quote_literal(v_key), metric.rollup),
            hint = 'The new rollups cannot be computed without the dropped events. Define a new metric under another key.';
    end if;
end
$$;

comment on function _lock_definition(metrics, text, text) is
    'Blocks recording until the transaction ends, so that an aggregate, period or rollup may change. Raises UM002 if recorded events '
    'forbid the change, 25001 in a REPEATABLE READ or SERIALIZABLE transaction.';

create or replace function _metric_has_events(metric text)
returns boolean
language sql
stable
set search_path from current
as $$
    select exists (select from series s where s.metric = _metric_has_events.metric)
$$;

comment on function _metric_has_events(text) is 'Whether any event was ever recorded for a metric, including events in dropped partitions.';

-- What recording goes by changes only while nobody records: the lock waits for every transaction that has read the catalog.
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
            errcode = '25001', message = 'an aggregate, period or rollup changes only in a READ COMMITTED transaction',
            hint = 'Define it in a transaction of its own: an older snapshot may not see every event that there is.';
    end if;
    perform _lock_rebuild();
    perform _lock_tables('{metrics}', 'access exclusive');
    if (metric.aggregate, metric.period) is distinct from (new_aggregate, new_period) then
        if _metric_has_events(v_key) then
            raise exception using
                errcode = 'UM002', message = 'a metric that has events keeps its aggregate and period',
                column = case when metric.aggregate <> new_aggregate then 'aggregate' else 'period' end,
                detail = format('%s is %s by %s.', quote_literal(v_key), metric.aggregate, metric.period),
                hint = 'Define a metric under another key, and retire this one.';
        end if;
    elsif exists (
        select from rollups r
        where r.metric = v_key
          and _overlaps_months(array(select _dropped_months()), r.bucket_start, _bucket_end(r.bucket, r.bucket_start))
    ) then
        raise exception using
            errcode = 'UM002', message = 'a metric with events in dropped partitions keeps its rollup', column = 'rollup',
            detail = format('%s has rollup %s.', quote_literal(v_key), metric.rollup),
            hint = 'The log can no longer tell what the new rollups would be. Define a metric under another key.';
    end if;
end
$$;

comment on function _lock_definition(metrics, text, text) is
    'Keeps everybody from recording until the transaction ends, so that an aggregate, period or rollup may change. Raises UM002 if '
    'what has been recorded forbids it, 25001 in a REPEATABLE READ or SERIALIZABLE transaction.';

create or replace function _metric_has_events(metric text)
returns boolean
language sql
stable
set search_path from current
as $$
    select exists (select from rollups r where r.metric = _metric_has_events.metric)
        or exists (select from events e where e.metric = _metric_has_events.metric)
$$;

comment on function _metric_has_events(text) is 'Whether anything was ever recorded for a metric, dropped partitions included.';

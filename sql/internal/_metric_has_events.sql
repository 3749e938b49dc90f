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

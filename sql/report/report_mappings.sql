create or replace function report_mappings(biller text default 'stripe')
returns setof report_metrics
language sql
stable
security definer
set search_path from current
as $$
    select * from report_metrics
    where biller = report_mappings.biller and event_name is not null
      and (not _is_open('report_mappings') or _check_caller('report_mappings'))
    order by metric
$$;

comment on function report_mappings(text) is
    'The metrics that are reported to a biller, ordered by metric. Example: SELECT metric, event_name, mode FROM meter.report_mappings();';

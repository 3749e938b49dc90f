create or replace function retire_metric(key text)
returns metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('retire_metric') then perform _check_caller('retire_metric'); end if;
    perform _metric(retire_metric.key);
    update metrics m set retired_at = now() where m.key = retire_metric.key and m.retired_at is null;
    return _metric(retire_metric.key);
end
$$;

comment on function retire_metric(text) is
    'Takes a metric out of use: its history stays readable, recording to it is refused with UM002. Again: changes nothing. '
    'Raises 22004 for null, UM001 for an unknown metric.';

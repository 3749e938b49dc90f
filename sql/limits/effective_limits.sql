create or replace function effective_limits(subject text, metric text, at timestamptz default now())
returns setof effective_limit
language plpgsql
stable
security definer
set search_path from current
as $$
declare
    v_metric metrics := case when not _is_open('effective_limits') or _check_caller('effective_limits')
                             then _get_metric(effective_limits.metric) end;
begin
    perform _check_name('subject', effective_limits.subject), _check_here(effective_limits.subject),
        _check_time('at', effective_limits.at, required => true);
    return query
        select * from _effective_limits(
            v_metric, effective_limits.subject, effective_limits.at, greatest(effective_limits.at, clock_timestamp()));
end
$$;

comment on function effective_limits(text, text, timestamptz) is
    'Returns the limits of a subject and metric for usage at a time: those that count, and those that are shadowed, each with the period '
    'that contains the time and the reason; of a time to come, with what is planned for it. Raises UM001 for an unknown metric, 22004 or '
    '22023 for a bad value, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT quota FROM '
    'meter.set_limit(''tokens'', 1000); SELECT quota FROM meter.set_limit(''tokens'', '
    '5000, subject => ''acct_1''); SELECT source, quota, counts, reason ~ ''shadowed'' AS shadowed FROM meter.effective_limits(''acct_1'', '
    '''tokens'', at => ''2026-06-18''); ROLLBACK;';

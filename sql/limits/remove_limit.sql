create or replace function remove_limit(
    metric text, subject text default null, plan text default null, period text default null, name text default 'default'
)
returns limits
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('remove_limit') or _check_caller('remove_limit') then _get_metric(remove_limit.metric) end;
    v_period text;
    v_now    timestamptz;
    v_before limits;
    v_end    limits;
    v_first  limits;
begin
    perform _check_limit(v_metric, null, remove_limit.subject, remove_limit.plan, 'none', '{}', remove_limit.name, null);
    if remove_limit.subject is not null then
        perform _lock_limited_subject(remove_limit.subject);
    else
        perform _lock('catalog');
    end if;
    v_period := _limit_period(v_metric, remove_limit.period);
    v_now := clock_timestamp();
    for v_before in
        select v.*
        from _limit_version(v_metric.key, remove_limit.name, v_period, remove_limit.subject, remove_limit.plan, v_now) v
        where not v.removed
        union all
        select * from _scheduled_versions(v_metric.key, remove_limit.name, v_period, remove_limit.subject, remove_limit.plan, v_now)
        order by since
    loop
        v_end := v_before;
        v_end.since := greatest(v_before.since, v_now);
        v_end.removed := true;
        v_end := _add_limit_version(v_end);
        perform _log_change('remove_limit', v_metric.key, to_jsonb(v_before), to_jsonb(v_end));
        v_first := case when v_first.limit_id is null then v_end else v_first end;
    end loop;
    if v_first.limit_id is null then
        raise exception using
            errcode = 'UM007', message = 'no such limit', column = 'metric',
            detail = format('metric %s, name %s, period %s, subject %s, plan %s.', quote_literal(left(v_metric.key, 80)),
                quote_literal(remove_limit.name), v_period,
                coalesce(quote_literal(left(remove_limit.subject, 80)), 'null'), coalesce(quote_literal(remove_limit.plan), 'null')),
            hint = 'limits() lists them; name, period, subject and plan have to be the same.';
    end if;
    return v_first;
end
$$;

comment on function remove_limit(text, text, text, text, text) is
    'Ends a limit now, and its versions that were to begin later, each at its since. Returns the version that ends it; for a limit that has not '
    'begun, the one that ends it at its first since. What it shadowed counts again; usage is not touched. Raises UM001 for an unknown metric, '
    'UM007 if there is no such limit, 22004 or 22023 for a bad value, 55P03 as set_limit() does, UM008 for a subject that is on another shard or '
    'being moved. Example: BEGIN; SELECT quota FROM '
    'meter.set_limit(''tokens'', 1000, subject => ''acct_1''); SELECT quota, removed FROM meter.remove_limit(''tokens'', subject => ''acct_1''); '
    'ROLLBACK;';

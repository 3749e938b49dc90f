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
    v_metric  metrics := case when not _is_open('remove_limit') or _check_caller('remove_limit') then _get_metric(remove_limit.metric) end;
    v_before  limits;
    v_version limits;
begin
    perform _check_limit(v_metric, null, remove_limit.subject, remove_limit.plan, 'none', '{}', remove_limit.name, null);
    if remove_limit.subject is not null then
        perform _lock_limited_subject(remove_limit.subject);
    else
        perform _lock('catalog');
    end if;
    v_before := _limit_version(v_metric.key, remove_limit.name, _limit_period(v_metric, remove_limit.period), remove_limit.subject,
                               remove_limit.plan, clock_timestamp());
    if v_before.limit_id is null or v_before.removed then
        raise exception using
            errcode = 'UM007', message = 'no such limit', column = 'metric',
            detail = format('metric %s, name %s, period %s, subject %s, plan %s.', quote_literal(left(v_metric.key, 80)),
                quote_literal(remove_limit.name), _limit_period(v_metric, remove_limit.period),
                coalesce(quote_literal(left(remove_limit.subject, 80)), 'null'), coalesce(quote_literal(remove_limit.plan), 'null')),
            hint = 'limits() lists them; name, period, subject and plan have to be the same.';
    end if;
    v_version := v_before;
    v_version.since := clock_timestamp();
    v_version.removed := true;
    v_version := _add_limit_version(v_version);
    perform _log_change('remove_limit', v_metric.key, to_jsonb(v_before), to_jsonb(v_version));
    return v_version;
end
$$;

comment on function remove_limit(text, text, text, text, text) is
    'Ends a limit now, and returns the version that ends it. What it shadowed counts again; usage is not touched. Raises UM001 for an unknown '
    'metric, UM007 if there is no such limit, 22004 or 22023 for a bad value, 55P03 as set_limit() does. Example: BEGIN; SELECT quota FROM '
    'meter.set_limit(''tokens'', 1000, subject => ''acct_1''); SELECT quota, removed FROM meter.remove_limit(''tokens'', subject => ''acct_1''); '
    'ROLLBACK;';

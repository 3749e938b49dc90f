create or replace function limits(
    metric text default null, subject text default null, plan text default null, at timestamptz default null, max_rows integer default 1000,
    after_id bigint default null
)
returns setof limits
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at timestamptz := coalesce(limits.at, clock_timestamp());
begin
    if _is_open('limits') then perform _check_caller('limits'); end if;
    perform _check_time('at', limits.at), _check_max_rows(limits.max_rows), _check_here(limits.subject);
    if limits.metric is not null then
        perform _get_metric(limits.metric);
    end if;
    if limits.plan is not null then
        perform _check_plan(limits.plan);
    end if;
    return query
        select c.*
        from (
            select distinct on (l.metric, l.name, l.period, l.subject, l.plan) l.*
            from limits l
            where (limits.metric is null or l.metric = limits.metric) and (limits.subject is null or l.subject = limits.subject)
              and (limits.plan is null or l.plan = limits.plan) and l.since <= v_at
              and (l.subject is null or ((select _all_here()) or _is_here(l.subject)))
            order by l.metric, l.name, l.period, l.subject, l.plan, l.since desc, l.limit_id desc
        ) c
        where not c.removed and (limits.after_id is null or c.limit_id > limits.after_id)
        order by c.limit_id
        limit limits.max_rows;
end
$$;

comment on function limits(text, text, text, timestamptz, integer, bigint) is
    'Returns the limits that hold now, or at a time, in the order in which they were set: of a metric, a subject or a plan, if one is given. '
    'effective_limits() tells which of them count for a subject. Keyset paging: pass the last limit_id as after_id. Raises UM001 or UM007 for an '
    'unknown metric or plan, 22004 or 22023 for a bad value, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT '
    'quota FROM meter.set_limit(''tokens'', 1000, subject => '
    '''acct_1''); SELECT metric, subject, period, quota, action FROM meter.limits(subject => ''acct_1''); ROLLBACK;';

create or replace function leave_pushes(
    biller text default 'stripe', identifier text default null, reason text default null, now timestamptz default now()
)
returns setof pushes
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('leave_pushes') then perform _check_caller('leave_pushes'); end if;
    perform _check_time('now', leave_pushes.now, required => true), _lock_planning(leave_pushes.biller), _keep_homes();
    if leave_pushes.identifier is null and leave_pushes.reason is null then
        raise exception using
            errcode = '22004', message = 'identifier and reason are both null', column = 'identifier',
            hint = 'Pass the identifier of one push, or a reason such as too_old for all held or rejected pushes that have it.';
    end if;
    if leave_pushes.identifier is not null then
        perform _check_home(p.subject), _check_undelivered(p, leave_pushes.biller) from _get_push(leave_pushes.identifier) p;
    end if;
    perform _lock_lanes(array(
        select distinct (p.biller, p.customer, p.event_name, null, null, null, null)::report_lanes
        from pushes p
        where p.biller = leave_pushes.biller and p.state in ('rejected', 'held') and ((select _all_here()) or _is_home(p.subject))
          and (leave_pushes.identifier is null or p.identifier = leave_pushes.identifier)
          and (leave_pushes.reason is null or p.reason = leave_pushes.reason)));
    return query
        update pushes p set state = 'left', settled_at = leave_pushes.now
        where p.biller = leave_pushes.biller and p.state in ('rejected', 'held') and ((select _all_here()) or _is_home(p.subject))
          and (leave_pushes.identifier is null or p.identifier = leave_pushes.identifier)
          and (leave_pushes.reason is null or p.reason = leave_pushes.reason)
        returning p.*;
end
$$;

comment on function leave_pushes(text, text, text, timestamptz) is
    'Decides that rejected or held pushes will not be sent, and returns them: one push, or all that have a reason such as too_old or '
    'refused. Their state becomes left, which report_status() counts. Later usage of the same hour or period is reported as before. Raises '
    '22004 if neither identifier nor reason is given, 22004 or 22023 for a bad value, an unknown identifier or a push in another state, '
    '25001 in a REPEATABLE READ or SERIALIZABLE transaction, UM008 for a subject that is on another shard or being moved. Example: SELECT '
    'meter.plan_pushes(now => ''2026-06-18 16:30+00'');
SELECT customer, value, state, reason FROM meter.leave_pushes(reason => ''too_old'', now => ''2026-06-19 16:30+00'');';

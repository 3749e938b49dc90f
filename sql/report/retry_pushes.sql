-- Retries use a new identifier: the biller would treat the old one as already delivered.
create or replace function retry_pushes(biller text default 'stripe', identifier text default null, now timestamptz default now())
returns setof pushes
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers := case when not _is_open('retry_pushes') or _check_caller('retry_pushes') then _lock_planning(retry_pushes.biller) end;
    v_push   pushes;
    v_lanes  report_lanes[];
    v_retry  record;
begin
    perform _check_time('now', retry_pushes.now, required => true);
    if retry_pushes.identifier is not null then
        v_push := _get_push(retry_pushes.identifier);
        perform _check_home(v_push.subject), _check_undelivered(v_push, retry_pushes.biller), _check_retriable(v_biller, v_push, retry_pushes.now);
    end if;
    v_lanes := array(
        select distinct (retry_pushes.biller, l.customer, l.event_name, null, null, null, null)::report_lanes
        from _retriable_pushes(v_biller, retry_pushes.identifier, retry_pushes.now) r
        cross join lateral (values (r.customer, r.event_name), ((r.push).customer, (r.push).event_name)) l (customer, event_name));
    perform _lock_lanes(v_lanes);
    for v_retry in select * from _retriable_pushes(v_biller, retry_pushes.identifier, retry_pushes.now) loop
        return next _replace_push(
            v_retry.push, v_retry.customer, v_retry.event_name, v_retry.stamped_at, v_retry.due_at, 'retried', retry_pushes.now);
    end loop;
    perform _refresh_lanes(v_lanes, retry_pushes.now);
end
$$;

comment on function retry_pushes(text, text, timestamptz) is
    'Replaces rejected and held pushes, all or one, by new ones and returns those. The new ones have identifiers of their own, and use the '
    'current mappings. Retrying overrides the hold: a negative value is sent, and usage that is too old or late gets the present time, '
    'except in mode last. A push without a customer, with too many digits or superseded by another value stays as it is. A push that is '
    'held as restored may have been sent already, and is retried only by its identifier. Raises 22004 or 22023 for a bad value, an unknown '
    'identifier, a push in another state or one that cannot be sent, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: '
    'SELECT customer, value, stamped_at, state FROM meter.retry_pushes(now => ''2026-06-19 16:30+00'');';

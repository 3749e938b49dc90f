-- The biller's report names a sample of the pushes that it could not count, and a time range: other pushes of that range may be affected.
create or replace function fail_pushes(
    biller text,
    event_id text,
    identifiers text[],
    code text,
    event_name text default null,
    since timestamptz default null,
    until timestamptz default null,
    now timestamptz default now()
)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lanes  report_lanes[];
    v_failed bigint := 0;
begin
    if _is_open('fail_pushes') then perform _check_caller('fail_pushes'); end if;
    perform _check_name('event_id', fail_pushes.event_id, 255), _check_time('now', fail_pushes.now, required => true),
        _check_time('since', fail_pushes.since), _check_time('until', fail_pushes.until), _lock_planning(fail_pushes.biller);
    if fail_pushes.identifiers is null then
        raise exception using errcode = '22004', message = 'identifiers is null', column = 'identifiers', hint = 'Pass an array; it may be empty.';
    end if;
    if fail_pushes.code is null then
        raise exception using errcode = '22004', message = 'code is null', column = 'code', hint = 'Pass the biller''s code of the error.';
    end if;
    if exists (select from report_errors e where e.biller = fail_pushes.biller and e.event_id = fail_pushes.event_id) then
        return 0;
    end if;
    v_lanes := array(
        select distinct (p.biller, p.customer, p.event_name, null, null, null, null)::report_lanes
        from pushes p where p.biller = fail_pushes.biller and p.identifier = any (fail_pushes.identifiers));
    perform _check_homes(array(
        select distinct p.subject from pushes p
        where p.biller = fail_pushes.biller and p.identifier = any (fail_pushes.identifiers) and p.state <> 'replaced')), _lock_lanes(v_lanes);
    update pushes p set
        state = 'rejected', reason = 'failed', error = left(fail_pushes.code, 1000), settled_at = fail_pushes.now,
        unsure_attempts = 0, unsure_since = null, absent_since = null
    where p.biller = fail_pushes.biller and p.identifier = any (fail_pushes.identifiers)
      and p.state in ('planned', 'sending', 'delivered', 'uncertain', 'resolved');
    get diagnostics v_failed = row_count;
    perform _refresh_lanes(v_lanes, fail_pushes.now);
    insert into reconciliations (biller, customer, event_name, step, range_start, recheck)
    select distinct p.biller, p.customer, p.event_name, 'hour', _bucket_start('hour', p.stamped_at), true
    from pushes p
    where p.biller = fail_pushes.biller and p.state in ('delivered', 'resolved') and p.mode <> 'last'
      and (p.event_name = fail_pushes.event_name
           or fail_pushes.event_name is null and p.event_name in (select l.event_name from unnest(v_lanes) l))
      and p.settled_at >= fail_pushes.since and p.settled_at < fail_pushes.until
    order by 2, 3, 5
    on conflict (biller, customer, event_name, step, range_start) do update set recheck = true;
    insert into report_errors (biller, event_id, code, pushes, handled_at)
    values (fail_pushes.biller, fail_pushes.event_id, left(fail_pushes.code, 1000), v_failed, fail_pushes.now);
    return v_failed;
end
$$;

comment on function fail_pushes(text, text, text[], text, text, timestamptz, timestamptz, timestamptz) is
    'Processes an asynchronous error report of the biller, once per event_id, and returns how many pushes were rejected. The pushes with '
    'these identifiers become rejected, with code as their error. Other deliveries under event_name (null: under the event names of those '
    'pushes) between since and until are marked for reconciliation. Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or '
    'SERIALIZABLE transaction, UM008 for a subject that is on another shard or being moved. Example: SELECT meter.fail_pushes(''stripe'', '
    '''evt_1'', array(SELECT identifier FROM meter.pushes(state => '
    '''resolved'')), ''no_customer'', since => ''2026-06-18'', until => ''2026-06-19'', now => ''2026-06-19 16:30+00'');';

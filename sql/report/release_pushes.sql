create or replace function release_pushes(biller text, worker text, now timestamptz default now())
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lanes    report_lanes[];
    v_released bigint;
begin
    if _is_open('release_pushes') then perform _check_caller('release_pushes'); end if;
    perform _check_name('biller', release_pushes.biller, 100), _check_name('worker', release_pushes.worker, 200),
        _check_time('now', release_pushes.now, required => true), _check_read_committed(), _require_durable_commit();
    v_lanes := array(
        select l from report_lanes l
        where l.biller = release_pushes.biller and l.worker = release_pushes.worker
        order by l.customer, l.event_name
        for update);
    with released as (
        update pushes p set state = 'planned', next_attempt_at = release_pushes.now
        from unnest(v_lanes) l
        where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'sending'
        returning 1
    )
    select count(*) into v_released from released;
    perform _refresh_lanes(v_lanes, release_pushes.now);
    return v_released;
end
$$;

comment on function release_pushes(text, text, timestamptz) is
    'Returns a worker''s claimed, unsettled pushes to the queue immediately, and returns how many. They count as possibly sent, so they are '
    'sent again under the same identifier; settle pushes that were not sent as not_applied first. Raises 22004 or 22023 for a bad value, '
    '25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT meter.release_pushes(''stripe'', ''worker_1'', now => '
    '''2026-06-18 16:31+00'');';

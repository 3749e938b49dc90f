create or replace function release_deliveries(worker text, now timestamptz default now())
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_released bigint;
begin
    if _is_open('release_deliveries') then perform _check_caller('release_deliveries'); end if;
    perform _check_name('worker', release_deliveries.worker, 200), _check_time('now', release_deliveries.now, required => true),
        _check_read_committed(), _lock_endpoints(null);
    update deliveries d set state = 'planned', next_attempt_at = release_deliveries.now
    where d.worker = release_deliveries.worker and d.state = 'sending' and d.endpoint in (select e.name from endpoints e);
    get diagnostics v_released = row_count;
    return v_released;
end
$$;

comment on function release_deliveries(text, timestamptz) is
    'Returns a worker''s claimed, unsettled deliveries to the queue at once, and returns how many. They may have been sent, and are sent again under '
    'the same message_id. Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting for a '
    'lock for 5 seconds. Example: SELECT meter.release_deliveries(''worker_1'');';

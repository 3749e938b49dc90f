-- Nothing depends on it: a reservation holds by expires_at, not by its state. What another session has locked is left to the next call.
create or replace function _tidy_reservations(keep interval)
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now   timestamptz := clock_timestamp();
    v_first timestamptz := _bucket_start('month', (v_now at time zone interval '0' - _tidy_reservations.keep) at time zone interval '0');
    v_count bigint;
begin
    with expired as (
        update reservations r set state = 'expired', settled_at = v_now
        where r.reservation_id in (
            select o.reservation_id
            from reservations o
            where o.state = 'held' and o.expires_at <= v_now and ((select _all_here()) or _is_home(o.subject))
            order by o.expires_at
            limit 100000
            for update skip locked)
        returning r.*
    )
    insert into notifications (type, subject, metric, data)
    select 'reservation.expired', e.subject, e.metric, jsonb_strip_nulls(jsonb_build_object(
        'reservation_id', e.reservation_id, 'idempotency_key', e.idempotency_key, 'held', trim_scale(e.held), 'at', e.at, 'expires_at', e.expires_at))
    from expired e
    order by e.expires_at, e.reservation_id;
    get diagnostics v_count = row_count;
    if v_count > 0 then
        return next ('expired reservations', v_count)::maintenance_action;
    end if;
    delete from reservations r where r.reservation_id in (
        select o.reservation_id
        from reservations o
        where o.state <> 'held' and o.at < v_first and ((select _all_here()) or _is_home(o.subject))
        limit 100000
        for update skip locked);
    get diagnostics v_count = row_count;
    if v_count > 0 then
        return next ('deleted reservations', v_count)::maintenance_action;
    end if;
end
$$;

comment on function _tidy_reservations(interval) is
    'Marks the reservations that have expired, with a notification for each, and deletes those that have ended of the months before now() - keep; at '
    'most 100,000 a call of each. A null keep deletes none.';

-- Recording queues an event for each name in the metric's billers. The empty name is no biller's: a biller's name cannot be blank.
create or replace function _follow_recording()
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_asked boolean := exists (select from endpoints e where 'usage.recorded' = any (e.types));
    v_key   text;
begin
    for v_key in
        select m.key from metrics m
        where v_asked <> coalesce('' = any (m.billers), false)
        order by m.key
    loop
        perform _lock_metric(v_key);
        update metrics m set
            billers = case when v_asked then array_append(m.billers, '') else nullif(array_remove(m.billers, ''), '{}') end,
            revision = m.revision + 1
        where m.key = v_key and v_asked <> coalesce('' = any (m.billers), false);
    end loop;
end
$$;

comment on function _follow_recording() is
    'Makes recording queue its events for usage.recorded while an endpoint asks for that, and only then. The caller holds the lock catalog.';

create or replace function _billers_of_new_metric()
returns text[]
language sql
stable
set search_path from current
as $$
    select case when exists (select from endpoints e where 'usage.recorded' = any (e.types)) then array[''] end
$$;

comment on function _billers_of_new_metric() is 'What the column billers of a new metric is: null, unless an endpoint asks for usage.recorded.';

create or replace function _write_recorded(max_rows integer)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_count  bigint;
    v_queued unreported[];
begin
    if not _is_asked_for('usage.recorded') then
        return 0;
    end if;
    with taken as (
        delete from unreported
        where ctid = any (array(select u.ctid from unreported u where u.biller = '' order by u.event_id limit _write_recorded.max_rows))
        returning unreported
    )
    select array_agg(unreported) into v_queued from taken;
    insert into notifications (type, subject, metric, data)
    select 'usage.recorded', s.subject, s.metric, jsonb_strip_nulls(jsonb_build_object(
        'event_id', e.event_id, 'quantity', trim_scale(e.quantity), 'member', e.member, 'unit', s.unit, 'at', e.at,
        'recorded_at', e.recorded_at, 'idempotency_key', e.idempotency_key, 'metadata', e.metadata))
    from unnest(v_queued) q
    cross join lateral (
        select s.subject, s.metric, s.unit from series s where s.series_id = q.series_id and s.stripe = 0 offset 0
    ) s
    cross join lateral (
        select * from events e where e.series_id = q.series_id and e.at = q.at and e.event_id = q.event_id offset 0
    ) e
    order by e.event_id;
    get diagnostics v_count = row_count;
    return greatest(v_count, coalesce(cardinality(v_queued), 0));
end
$$;

comment on function _write_recorded(integer) is
    'Writes usage.recorded for events that recording has queued, at most max_rows, and returns how many were taken from the queue.';

-- An event recorded without a key can be recognised only by the event_id and recorded_at of an export. In a dropped month there are no
-- events left to compare with: such an event is returned as rejected.
create or replace function known_events(events jsonb)
returns setof batch_outcome
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('known_events') then perform _check_caller('known_events'); end if;
    perform _check_events(known_events.events);
    perform _check_here(e.event ->> 'subject')
    from jsonb_array_elements(known_events.events) e (event)
    where not (select _all_here()) and jsonb_typeof(e.event) = 'object';
    -- The conditions are inside the lateral subqueries, so that a look-up that is not needed is not executed.
    return query
    with given as materialized (
        select p.ordinal, p.subject, p.metric, p.at, p.idempotency_key, p.quantity, p.member,
               case when e.event ->> 'event_id' ~ '^[0-9]{1,18}$' then (e.event ->> 'event_id')::bigint end as event_id,
               _parse_time(e.event ->> 'recorded_at') as recorded_at
        from _parse_events(known_events.events) p
        join jsonb_array_elements(known_events.events) with ordinality as e (event, ordinal) on e.ordinal = p.ordinal
        where p.subject is not null and p.metric is not null
    ), dropped as materialized (
        select m.month from _dropped_months() as m (month) where exists (select from given where event_id is not null)
    )
    select g.ordinal, coalesce(k.event_id, l.event_id),
           case when k.event_id is null and l.event_id is null then 'rejected'
                when k.event_id is not null and _is_same_payload(k.quantity, k.member, g.quantity, g.member) then 'duplicate'
                when k.event_id is not null and _is_amended_payload(k.digest, g.quantity, g.member) then 'duplicate'
                when k.event_id is null and _is_same_payload(l.quantity, l.member, g.quantity, g.member) then 'duplicate'
                else 'conflict' end,
           d.sqlstate, d.message, d.hint
    from given g
    left join lateral (
        select k.* from keys k where g.idempotency_key is not null and k.digest = _key_digest(g.metric, g.subject, g.idempotency_key)
        union all
        select k.* from old_keys k where g.idempotency_key is not null and k.digest = _key_digest(g.metric, g.subject, g.idempotency_key)
        offset 0
    ) k on true
    left join lateral (
        select l.event_id, l.quantity, l.member
        from series s
        join events l on l.series_id = s.series_id
        where k.event_id is null and g.event_id is not null
          and s.subject = g.subject and s.metric = g.metric and s.stripe = 0 and l.at = g.at
          and l.event_id = g.event_id and l.recorded_at = g.recorded_at
        offset 0
    ) l on true
    left join lateral (
        select '55000', 'the month of the event was dropped, so it is unknown whether the event was counted',
               'If the event comes from another meter, give it an idempotency key; it is counted then.'
        from dropped
        where k.event_id is null and l.event_id is null and g.event_id is not null
          and dropped.month = _bucket_start('month', g.at)
        offset 0
    ) d (sqlstate, message, hint) on true
    where coalesce(k.event_id, l.event_id) is not null or d.sqlstate is not null
    order by g.ordinal;
end
$$;

comment on function known_events(jsonb) is
    'Returns which events of a JSON array were recorded before; records nothing. For importers. An event is recognised by its '
    'idempotency_key or, if it was recorded without one, by the event_id, recorded_at and at that events() returned. Returns one row for '
    'each known event: duplicate, or conflict if its quantity or member differs. An event with an event_id whose month was dropped is '
    'returned as rejected (55000), because it cannot be compared. Unknown events have no row. Raises 22004 or 22023 if events is not a '
    'JSON array, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT ordinal, outcome FROM meter.known_events(''[{"subject": "acct_1", "metric": "tokens", "quantity": 120, "at": '
    '"2026-06-17T09:00:00Z", "idempotency_key": "req_0"}]'');';

-- One of the events that a key has named counts; if all have been voided, it names the last one. When a month is dropped, its voids are forgotten,
-- so an event that is still there comes before those of dropped months.
create or replace function _named_event(digest uuid)
returns table (event_id bigint, at timestamptz)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select n.event_id, n.at
    from (
        select k.*, count(*) over () as events
        from (
            select k.event_id, k.at from keys k where k.digest = _named_event.digest
            union all
            select k.event_id, k.at from old_keys k where k.digest = _named_event.digest
            union all
            select a.event_id, a.at from amended_keys a where a.digest = _named_event.digest
        ) k
    ) n
    -- EXISTS could be planned as a look-up in a hash of all voids.
    cross join lateral (
        select count(*) as voids from event_kinds v where v.corrects = n.event_id and v.kind = 'void' and v.undone_by is null offset 0
    ) v
    order by v.voids, case when n.events > 1 then _bucket_start('month', n.at) in (select _dropped_months()) end, n.event_id desc
    limit 1;
end
$$;

comment on function _named_event(uuid) is 'The event that an idempotency key names: the one that was recorded with it, or that has replaced it.';

create or replace function _is_known_payload(digest uuid, quantity numeric, member text)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return exists (
        select from (
            select k.quantity, k.member from keys k where k.digest = _is_known_payload.digest
            union all
            select k.quantity, k.member from old_keys k where k.digest = _is_known_payload.digest
            union all
            select a.quantity, a.member from amended_keys a where a.digest = _is_known_payload.digest
        ) p
        where _is_same_payload(p.quantity, p.member, _is_known_payload.quantity, _is_known_payload.member));
end
$$;

comment on function _is_known_payload(uuid, numeric, text) is
    'Whether an idempotency key has come with this payload, or an event with this payload has replaced that of the key.';

-- Of two events with the same key, the first in the batch owns it.
create or replace function _own_keys(batch batch_event[])
returns bigint[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_owned bigint[];
begin
    with added as (
        insert into keys (event_id, at, digest, quantity, member)
        select event_id, at, digest, quantity, member
        from unnest(batch) e
        where problem is null and digest is not null
        order by digest, ordinal
        on conflict (digest) do nothing
        returning event_id
    )
    select coalesce(array_agg(event_id), '{}') into v_owned from added;
    -- Asked by a later statement, as in _record_event(): these are repeats of keys that maintain() has moved.
    with moved as (
        select e.event_id, e.digest
        from unnest(batch) e
        cross join lateral (select from old_keys o where o.digest = e.digest offset 0) o
        where e.problem is null
    ), removed as (
        delete from keys k using moved m where k.digest = m.digest
    )
    select coalesce(array_agg(o.id), '{}') into v_owned from unnest(v_owned) o (id) where o.id not in (select event_id from moved);
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _check_keys();
    end if;
    return v_owned;
end
$$;

comment on function _own_keys(batch_event[]) is 'Inserts the keys of a batch, and returns the ids of the events that own theirs.';

-- The same steps as record(), in the same lock order, each as one statement over the whole batch.
create or replace function _record_rows(batch batch_event[])
returns setof batch_outcome
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_owned       bigint[];
    v_new         batch_event[];
    v_outcomes    batch_outcome[];
    v_any_problem boolean := exists (select from unnest(batch) where problem is not null);
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _pin_metrics(array(select distinct metric from unnest(batch) where problem is null));
    end if;

    -- KEYS: of two events with the same key, the first in the batch owns it.
    with added as (
        insert into idempotency_keys (event_id, at, subject, metric, key_digest, payload_digest)
        select event_id, at, subject, metric, key_digest, payload_digest
        from unnest(batch)
        where problem is null and key_digest is not null
        order by subject, metric, key_digest, ordinal
        on conflict (subject, metric, key_digest) do nothing
        returning event_id
    )
    select coalesce(array_agg(event_id), '{}') into v_owned from added;

    -- EVENTS
    v_new := array(
        select e from unnest(batch) e
        where e.problem is null and (e.key_digest is null or e.event_id in (select unnest(v_owned))));
    if cardinality(v_new) > 0 then
        insert into events (event_id, at, subject, metric, quantity, member, idempotency_key, metadata)
        select event_id, at, subject, metric, quantity, member, idempotency_key, metadata
        from unnest(v_new)
        order by subject, metric, at, event_id;
        insert into unreported (at, event_id, subject, metric, biller)
        select at, event_id, subject, metric, unnest(billers) from unnest(v_new) where billers is not null;
        perform _roll_up_batch(v_new);
    end if;

    -- OUTCOMES
    v_outcomes := array(
        select (e.ordinal, coalesce(k.event_id, e.event_id),
            case
                when p.code is not null then 'rejected'
                when e.key_digest is null or o.event_id is not null then 'recorded'
                when k.payload_digest = e.payload_digest then 'duplicate'
                when k.event_id is not null then 'conflict'
            end,
            p.sqlstate, p.message || coalesce(': ' || e.detail, ''), p.hint)::batch_outcome
        from unnest(batch) e
        left join unnest(v_owned) o (event_id) on o.event_id = e.event_id
        left join lateral (
            -- OFFSET 0 keeps this a subquery, which is not executed for events that own their key.
            select event_id, payload_digest
            from idempotency_keys
            where e.problem is null and o.event_id is null
              and subject = e.subject and metric = e.metric and key_digest = e.key_digest
            offset 0
        ) k on true
        left join (select * from _problems() where v_any_problem) p on p.code = e.problem
        order by e.ordinal);
    if exists (select from unnest(v_outcomes) where outcome is null) then
        raise exception using
            errcode = '40001', message = 'the idempotency key was deleted while it was being looked up',
            hint = 'Retry the transaction.';
    end if;
    return query select * from unnest(v_outcomes);
end
$$;

comment on function _record_rows(batch_event[]) is
    'Records the events of a batch that break no rule, and returns the outcome of each. Raises 40001 as record() does.';

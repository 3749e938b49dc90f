-- Event ids are drawn in the order of the batch: it decides which of two `last` events with one time is the later-recorded.
create or replace function _prepare_batch(events jsonb)
returns batch_event[]
language sql
volatile
set search_path from current
as $$
    select coalesce(array_agg((
        c.ordinal, c.subject, c.metric, c.quantity, c.member, c.idempotency_key, c.at, c.metadata, c.problem, c.detail,
        case when c.problem is null then nextval('event_ids') end, c.aggregate, c.period, c.rollup, c.striped,
        _digest(c.idempotency_key), _payload_digest(c.quantity, c.member), c.billers)::batch_event), '{}')
    from (
        select p.ordinal, p.subject, p.metric, p.member, p.idempotency_key, p.at, p.metadata, p.detail,
               case when m.aggregate = 'count' then coalesce(p.quantity, 1) else p.quantity end as quantity,
               coalesce(p.problem, _event_problem(
                   m.aggregate, m.retired_at, m.max_future,
                   p.subject, p.metric, p.quantity, p.member, p.idempotency_key, p.at, p.metadata)) as problem,
               m.aggregate, m.period, nullif(nullif(m.rollup, 'none'), m.period) as rollup, m.striped, m.billers
        from _parse_events(_prepare_batch.events) p
        left join metrics m on m.key = p.metric
        order by p.ordinal
    ) c
$$;

comment on function _prepare_batch(jsonb) is
    'The events of a batch in their order, each with its problem or else with its event id, digests and what its metric says.';

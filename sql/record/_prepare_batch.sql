-- Event ids are drawn in input order: of two `last` events with the same time, the one with the higher id counts.
create or replace function _prepare_batch(events jsonb)
returns batch_event[]
language sql
volatile
set search_path from current
as $$
    select coalesce(array_agg((
        c.ordinal, c.subject, c.metric, c.quantity, c.member, c.idempotency_key, c.at, c.metadata, c.problem, c.detail,
        case when c.problem is null then nextval('event_ids') end, _key_digest(c.metric, c.subject, c.idempotency_key))::batch_event), '{}')
    from (
        select p.ordinal, p.subject, p.metric, q.quantity, p.member, p.idempotency_key, p.at, p.metadata, p.detail,
               case when p.problem is null
                   and _is_plain_event(m.aggregate, m.retired_at, p.subject, p.metric, q.quantity, p.member, p.idempotency_key, p.at, p.metadata)
                   then null
                   else (select r.code
                         from _event_rules(p.problem, m.aggregate, m.retired_at, m.max_future, p.subject, p.metric, q.quantity, p.member,
                                           p.idempotency_key, p.at, p.metadata) r
                         where r.is_broken
                         limit 1)
               end as problem
        from _parse_events(_prepare_batch.events) p
        left join metrics m on m.key = p.metric
        cross join lateral (select coalesce(p.quantity, case m.aggregate when 'count' then 1 end) as quantity) q
        order by p.ordinal
    ) c
$$;

comment on function _prepare_batch(jsonb) is
    'The events of a batch in input order, each with the code of the rule that it breaks, or else with its event id and the digest of its key.';

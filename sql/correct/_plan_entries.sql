-- What preview_correction() shows and what approving writes are planned here, in the same way: nothing is written, and no event id is drawn. An
-- event id that stands for one to come is greater than all that there are.
-- Every look-up is one by index for each entry, whatever the statistics say.
create or replace function _plan_entries(entries correction_entries[])
returns setof correction_step
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_id constant bigint := 9000000000000000000;
begin
    return query
    with given as materialized (
        select * from _correction_targets(entries)
    ), judged as materialized (
        select g.*, case
                   when g.entry in ('void', 'amend') and not g.is_logged then
                       case when _bucket_start('month', g.target_at) in (select _dropped_months()) then 'event_dropped' else 'event_unknown' end
                   when g.target_kind = 'void' then 'event_is_void'
                   when g.entry = 'amend' and g.target_kind = 'adjustment' then 'event_is_adjustment'
                   when g.entry = 'adjust' and g.aggregate not in ('sum', 'count') then 'adjusts_no_sum'
                   when g.entry = 'adjust' and g.quantity is null then 'quantity_null'
                   when g.entry = 'void' and (g.is_voided or g.number > 1) then 'duplicate'
                   when g.entry = 'amend' and (g.is_voided or g.number > 1) then 'conflict'
                   when g.entry = 'amend' and g.changes_nothing then 'duplicate'
                   when g.entry in ('adjust', 'record') and g.number > 1 then
                       case when _is_same_payload(g.first_quantity, g.first_member, g.quantity, g.member) then 'duplicate' else 'conflict' end
                   when g.entry in ('adjust', 'record') and g.target_id is not null and not g.replaces then
                       case when g.is_repeat and coalesce(g.target_kind, 'usage') = case g.entry when 'adjust' then 'adjustment' else 'usage' end
                            then 'duplicate' else 'conflict' end
                   when g.entry = 'void' then 'applied'
                   when _is_plain_event(g.aggregate, case g.entry when 'record' then g.retired_at end, g.subject, g.metric,
                                        case g.entry when 'adjust' then abs(g.quantity) else g.quantity end, g.member, g.idempotency_key,
                                        g.at, g.metadata) then 'applied'
                   else coalesce((
                       select r.code
                       from _event_rules(null, g.aggregate, case g.entry when 'record' then g.retired_at end, g.max_future, g.subject, g.metric,
                           case g.entry when 'adjust' then abs(g.quantity) else g.quantity end, g.member, g.idempotency_key, g.at, g.metadata) r
                       where r.is_broken limit 1), 'applied')
               end as outcome
        from given g
    )
    select j.ordinal, j.outcome, null::text, j.metric, j.subject, j.series_id, j.target_id, j.target_at, j.quantity, j.member, j.idempotency_key,
           j.metadata, null::bigint, null::smallint, null::uuid
    from judged j
    where j.outcome <> 'applied'
    union all
    select j.ordinal, j.outcome, w.kind, j.metric, j.subject, j.series_id, v_id + 2 * j.ordinal + w.rank, w.at, w.quantity, w.member, w.key,
           w.metadata, w.corrects, w.counts, w.digest
    from judged j
    cross join lateral (
        select 0 as rank, 'void' as kind, j.target_at as at, - j.target_quantity as quantity, j.target_member as member, null::text as key,
               j.target_metadata as metadata, j.target_id as corrects, (- coalesce(j.target_counts, 1))::smallint as counts, null::uuid as digest
        where j.entry in ('void', 'amend')
        union all
        select 1, case j.entry when 'adjust' then 'adjustment' else 'usage' end, j.at, j.quantity, j.member,
               case j.entry when 'amend' then j.target_key else j.idempotency_key end, j.metadata,
               case when j.entry = 'amend' or j.replaces then j.target_id end, case j.entry when 'adjust' then 0 else 1 end::smallint,
               _key_digest(j.metric, j.subject, case j.entry when 'amend' then j.target_key else j.idempotency_key end)
        where j.entry <> 'void'
    ) w
    where j.outcome = 'applied'
    order by 1, 7;
end
$$;

comment on function _plan_entries(correction_entries[]) is
    'What entries of one correction are to write into the log, in their order, as the ledger is now; for an entry that writes nothing one row that '
    'says why.';

-- number: of several entries for one event, or for one key, the first one is applied. replaces: an event whose key names one that an earlier entry
-- voids takes its place, as if it had been amended.
create or replace function _correction_targets(entries correction_entries[])
returns table (ordinal integer, entry text, subject text, metric text, quantity numeric, member text, idempotency_key text, at timestamptz,
               metadata jsonb, aggregate text, retired_at timestamptz, max_future interval, series_id integer, target_id bigint,
               target_at timestamptz, target_quantity numeric, target_member text, target_key text, target_metadata jsonb, target_kind text,
               target_counts smallint, is_voided boolean, is_logged boolean, changes_nothing boolean, is_repeat boolean, replaces boolean,
               number bigint, first_quantity numeric, first_member text)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with given as materialized (
        select e.*, m.aggregate, m.retired_at, m.max_future, s.series_id,
               _key_digest(e.metric, e.subject, e.idempotency_key) as digest
        from unnest(entries) e
        join metrics m on m.key = e.metric
        left join lateral (
            select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
        ) s on true
    ), named as materialized (
        select g.*, n.event_id as target_id, n.at as target_at
        from given g
        left join lateral (
            select g.corrects as event_id, g.corrects_at as at where g.digest is null
            union all
            select n.event_id, n.at from _named_event(g.digest) n where g.digest is not null
            offset 0
        ) n on true
    )
    select n.ordinal, n.entry, n.subject, n.metric, case when n.entry = 'amend' then coalesce(n.quantity, l.quantity) else n.quantity end,
           case when n.entry = 'amend' then coalesce(n.member, l.member) else n.member end, n.idempotency_key,
           case when n.entry = 'amend' then coalesce(n.at, l.at) else n.at end,
           case when n.entry = 'amend' then coalesce(n.metadata, l.metadata) else n.metadata end,
           n.aggregate, n.retired_at, n.max_future, n.series_id, n.target_id, n.target_at,
           l.quantity, l.member, l.idempotency_key, l.metadata, k.kind, k.counts, v.is_voided, l.event_id is not null,
           (coalesce(n.quantity, l.quantity), coalesce(n.member, l.member), coalesce(n.at, l.at), coalesce(n.metadata, l.metadata))
               is not distinct from (l.quantity, l.member, l.at, l.metadata),
           n.entry in ('adjust', 'record') and _is_known_payload(n.digest, n.quantity, n.member),
           n.entry = 'record' and not v.is_voided and count(*) filter (where n.entry = 'void') over same_event > 0,
           case when coalesce(n.target_id::text, n.digest::text) is null then 1 else row_number() over same end,
           first_value(n.quantity) over same, first_value(n.member) over same
    from named n
    left join lateral (
        select l.event_id, l.at, l.quantity, l.member, l.idempotency_key, l.metadata
        from events l
        where l.series_id = n.series_id and l.at = n.target_at and l.event_id = n.target_id
        offset 0
    ) l on n.entry in ('void', 'amend')
    left join lateral (
        select k.kind, k.counts from event_kinds k where k.event_id = n.target_id offset 0
    ) k on true
    cross join lateral (
        select count(*) > 0 as is_voided from event_kinds v where v.corrects = n.target_id and v.kind = 'void' and v.undone_by is null offset 0
    ) v
    window same_event as (partition by n.target_id order by n.ordinal),
           same as (partition by coalesce(n.target_id::text, n.digest::text), n.entry in ('adjust', 'record') order by n.ordinal);
end
$$;

comment on function _correction_targets(correction_entries[]) is
    'What entries of one correction are about: of a void or amend the event, as the log has it, of the others the event that has their key; and '
    'the payload that is to count.';

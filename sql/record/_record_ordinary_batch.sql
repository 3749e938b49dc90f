-- The short way for a batch of ordinary events. One statement reads, checks, and writes keys and events; it writes nothing unless the whole
-- batch is ordinary. Rows pass from step to step inside it, in the lock order of the package: keys, then rows of series, and only then the clock
-- is read for recorded_at. A later statement asks about keys that maintain() has moved, see _record_event(); and whether limits still leave room.
create or replace function _record_ordinary_batch(events jsonb)
returns setof batch_outcome
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_nestloop to off  -- but for the look-ups by primary key, which OFFSET 0 leaves no other way
set jit to off
as $$
#variable_conflict use_column
declare
    v_ids        bigint[];
    v_digests    uuid[];
    v_quantities numeric[];
    v_fine       rollups[];
    v_written    boolean;
    v_other      boolean;  -- a subject was erased, or closed, while its row was waited for
begin
    with parsed as materialized (
        select g.*, s.series_id, nextval('event_ids') as event_id, _key_digest(g.metric, g.subject, g.idempotency_key) as digest,
               _bucket_start(s.fine_bucket, g.at) as fine_start, s.fine_bucket, s.coarse_bucket, s.billers,
               (g.is_valid and s.series_id is not null) is true as is_ordinary
        from _read_ordinary(_record_ordinary_batch.events) g
        left join lateral (
            select s.series_id, m.fine_bucket, m.coarse_bucket, m.billers
            from series s
            join metrics m on m.key = s.metric and m.revision = s.revision
            where s.metric = g.metric and s.subject = g.subject and s.stripe = 0 and s.is_ordinary
            offset 0
        ) s on true
    ), gate as materialized (
        select bool_and(is_ordinary) and count(*) = jsonb_array_length(_record_ordinary_batch.events) as is_open from parsed
    ), owned_keys as (
        insert into keys (event_id, at, digest, quantity)
        select event_id, at, digest, quantity from parsed where digest is not null and (select is_open from gate) order by digest, n
        on conflict (digest) do nothing
        returning event_id
    ), locked as materialized (
        select s.series_id, s.recorded_after, s.subject <> p.subject or not s.is_ordinary as is_other
        from (
            select distinct series_id, subject from parsed where (select is_open from gate) and (select count(*) from owned_keys) >= 0 order by 1
        ) p
        cross join lateral (
            select s.series_id, s.recorded_after, s.subject, s.is_ordinary
            from series s where s.series_id = p.series_id and s.stripe = 0 offset 0 for update
        ) s
    ), owned as materialized (
        select p.*
        from parsed p
        where (select is_open from gate) and (select count(*) from locked) >= 0
          and (p.digest is null or p.event_id in (select event_id from owned_keys))
    ), logged as (
        insert into events (event_id, at, recorded_at, series_id, quantity, idempotency_key, metadata)
        select event_id, at, greatest(clock_timestamp(), (select max(recorded_after) from locked)), series_id, quantity, idempotency_key, metadata
        from owned order by series_id, at, event_id
    ), queued as (
        insert into unreported (at, event_id, series_id, biller) select at, event_id, series_id, unnest(billers) from owned where billers is not null
    ), fine as (
        select fine_start, count(*), max(at), series_id, 0::smallint, fine_bucket, sum(quantity), null::numeric, null::numeric, null::numeric[]
        from owned group by fine_start, series_id, fine_bucket
    )
    select (select is_open from gate), (select bool_or(is_other) from locked), (select array_agg(f::rollups) from fine f),
           array_agg(o.event_id order by p.n), array_agg(p.digest order by p.n), array_agg(p.quantity order by p.n)
    into v_written, v_other, v_fine, v_ids, v_digests, v_quantities
    from parsed p left join owned o on o.n = p.n;
    if v_written is not true then
        return;
    end if;
    if v_other or exists (select from unnest(v_digests) d (digest) cross join lateral (select from old_keys o where o.digest = d.digest offset 0) o)
        or exists (select from metrics m where m.limited) and not _is_unchecked(v_fine) then
        raise savepoint_exception;
    end if;
    perform _add_fine_amounts(v_fine);
    return query select * from _ordinary_outcomes(v_ids, v_digests, v_quantities);
exception when data_exception or savepoint_exception then
    return;
end
$$;

comment on function _record_ordinary_batch(jsonb) is
    'Records a batch of ordinary events and returns their outcomes; records nothing, and returns no row, if one of them is not ordinary.';

-- OFFSET 0: the fields are extracted once.
create or replace function _read_ordinary(events jsonb)
returns table (n bigint, subject text, metric text, idempotency_key text, quantity numeric, at timestamptz, metadata jsonb, is_valid boolean)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select f.n, f.subject, f.metric, f.idempotency_key, f.quantity, f.at, f.metadata,
           f.is_simple and f.quantity >= 0 and f.quantity < 1e50 and scale(f.quantity) <= 50
           and f.at <= now() and f.at >= timestamptz '1970-01-01 00:00:00+00'
           and coalesce(f.idempotency_key, '!') >= '!' collate "C" and coalesce(octet_length(f.idempotency_key), 0) <= 512
    from (
        select o.n, o.e ->> 'subject' as subject, o.e ->> 'metric' as metric, o.e ->> 'idempotency_key' as idempotency_key,
               case when jsonb_typeof(o.e -> 'quantity') = 'number' then (o.e -> 'quantity')::numeric end as quantity,
               case when o.e ? 'at' then _parse_time(o.e ->> 'at') else now() end as at, o.e -> 'metadata' as metadata,
               -- Subject, metric and key are texts, and there is no other field.
               jsonb_typeof(o.e -> 'subject') = 'string' and jsonb_typeof(o.e -> 'metric') = 'string'
               and coalesce(jsonb_typeof(o.e -> 'idempotency_key'), 'string') = 'string'
               and coalesce(jsonb_typeof(o.e -> 'metadata'), 'object') = 'object' and coalesce(octet_length(o.e ->> 'metadata'), 0) <= 65536
               and o.e - '{subject,metric,quantity,idempotency_key,at,metadata}'::text[] = '{}' as is_simple
        from jsonb_array_elements(events) with ordinality as o (e, n)
        where jsonb_typeof(o.e) = 'object'
        offset 0
    ) f;
end
$$;

comment on function _read_ordinary(jsonb) is
    'The objects of a JSON array as events, and whether each has the form and values of an ordinary one. Raises 22xxx for some that have not.';

create or replace function _ordinary_outcomes(event_ids bigint[], digests uuid[], quantities numeric[])
returns setof batch_outcome
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select i.n, coalesce(i.event_id, k.event_id, (_find_key(i.digest)).event_id), case
            when i.event_id is not null then 'recorded'
            when k.quantity = i.quantity then 'duplicate'
            when _is_amended_payload(i.digest, i.quantity, null) then 'duplicate'
            else 'conflict' end,
        null::text, null::text, null::text
    from unnest(event_ids, digests, quantities) with ordinality as i (event_id, digest, quantity, n)
    left join lateral (
        select k.event_id, k.quantity from keys k where i.event_id is null and k.digest = i.digest
        union all
        select k.event_id, k.quantity from old_keys k where i.event_id is null and k.digest = i.digest
        offset 0
    ) k on true
    order by i.n;
end
$$;

comment on function _ordinary_outcomes(bigint[], uuid[], numeric[]) is
    'The outcomes of an ordinary batch: an event without an id repeats a key, which may have been moved to old_keys '
    'meanwhile. Raises 40001 as _find_key() does.';

-- Events of dropped months are gone, but their keys are not, and say nothing of whose they are but by their digest. So the keys of those months are
-- found by their members. Another subject's key of such a month with the same member is erased too: a retry of it is a duplicate whatever it says.
create or replace function _dropped_keys(subject text)
returns uuid[]
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_months timestamptz[] := array(select _dropped_months());
    v_series integer[] := array(
        select s.series_id from metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = _dropped_keys.subject and s.stripe = 0 offset 0
        ) s
        where m.aggregate = 'unique');
begin
    if v_months = '{}' or v_series = '{}' then
        return '{}';
    end if;
    return array(
        with members as materialized (
            select u.member_digest from unique_members u where u.series_id = any (v_series)
            union
            select u.member_digest from dropped_members u where u.series_id = any (v_series)
        )
        select k.digest
        from (
            select k.digest, k.at, k.member from keys k
            union all
            select k.digest, k.at, k.member from old_keys k
            union all
            select k.digest, k.at, k.member from amended_keys k
        ) k
        where k.member <> '' and _bucket_start('month', k.at) = any (v_months) and _digest(k.member) in (select m.member_digest from members m));
end
$$;

comment on function _dropped_keys(text) is 'The digests of keys of dropped months that have members of a subject''s unique metrics.';

create or replace function _erase_keys(series_ids integer[], dropped uuid[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_digests uuid[] := dropped || array(
        select _key_digest(s.metric, s.subject, e.idempotency_key)
        from unnest(series_ids) i (series_id)
        cross join lateral (
            select s.metric, s.subject from series s where s.series_id = i.series_id and s.stripe = 0 offset 0
        ) s
        join metrics m on m.key = s.metric
        cross join lateral (
            select e.idempotency_key from events e
            where e.series_id = i.series_id and e.member is not null and e.idempotency_key is not null and m.aggregate = 'unique'
            offset 0
        ) e);
begin
    update keys k set member = '' from (select distinct d from unnest(v_digests) d) d where k.digest = any (array[d.d]) and k.member <> '';
    update old_keys k set member = '' from (select distinct d from unnest(v_digests) d) d where k.digest = any (array[d.d]) and k.member <> '';
    update amended_keys k set member = '' from (select distinct d from unnest(v_digests) d) d where k.digest = any (array[d.d]) and k.member <> '';
end
$$;

comment on function _erase_keys(integer[], uuid[]) is 'Removes the members from the keys of series, and from these digests: see _is_same_payload().';

-- A digest of a member can be found by trying. So each member of a series, also of dropped months, of which only the digest is left, becomes a random
-- text, and its digest that of this text: as many are distinct as before, in every bucket.
create or replace function _erase_events(series_ids integer[])
returns bigint
language plpgsql
volatile
set search_path from current
set enable_nestloop to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_members bigint;
    v_others  bigint;
begin
    update events e set idempotency_key = null, metadata = null
    where e.series_id = any (_erase_events.series_ids) and e.member is null and (e.idempotency_key is not null or e.metadata is not null);
    get diagnostics v_others = row_count;
    with tokens as materialized (
        select d.series_id, d.member_digest, gen_random_uuid()::text as token
        from (
            select u.series_id, u.member_digest from unique_members u where u.series_id = any (_erase_events.series_ids)
            union
            select u.series_id, u.member_digest from dropped_members u where u.series_id = any (_erase_events.series_ids)
            union
            select e.series_id, _digest(e.member) from events e where e.series_id = any (_erase_events.series_ids) and e.member is not null
        ) d
    ), stored as (
        update unique_members u set member_digest = _digest(t.token)
        from tokens t
        where u.series_id = any (_erase_events.series_ids) and t.series_id = u.series_id and t.member_digest = u.member_digest
    ), dropped as (
        update dropped_members u set member_digest = _digest(t.token)
        from tokens t
        where u.series_id = any (_erase_events.series_ids) and t.series_id = u.series_id and t.member_digest = u.member_digest
    ), logged as (
        update events e set member = t.token, idempotency_key = null, metadata = null
        from tokens t
        where e.series_id = any (_erase_events.series_ids) and t.series_id = e.series_id and t.member_digest = _digest(e.member)
        returning 1
    )
    select count(*) into v_members from logged;
    return v_others + v_members;
end
$$;

comment on function _erase_events(integer[]) is
    'Removes keys and metadata from the log of series, and replaces members, in the log and where their digests are. Returns how many rows of it '
    'were rewritten.';

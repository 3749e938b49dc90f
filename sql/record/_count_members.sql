-- Most events repeat an hour in which the member is known, so a plain read comes first, which locks no row. The lock on the table comes
-- before it: rebuild(), which locks the table to take unfounded members away, then waits for whoever has taken one for counted. The read
-- has a snapshot of its own; a transaction with one older snapshot for all does not read. Whoever is known in the finer bucket is known
-- in the coarser one.
create or replace function _count_member(metric metrics, subject text, at timestamptz, member text)
returns text[]
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key     text := (_count_member.metric).key;
    v_period  text := (_count_member.metric).period;
    v_slot    text := _slot_bucket(v_period, (_count_member.metric).rollup);
    v_bits    bit varying := _slot(v_slot, _count_member.at);
    v_digest  bytea := _digest(_count_member.member);
    v_finest  text := case when v_slot is null or v_period = 'minute' then v_period else 'month' end;
    v_bucket  text;
    v_kind    text;
    v_start   timestamptz;
    v_seen    bit varying;
    v_added   bit varying;
    v_written boolean;
    v_new_in  text[] := '{}';
begin
    lock table unique_members in row exclusive mode;
    if current_setting('transaction_isolation') = 'read committed' and exists (
        select from unique_members
        where subject = _count_member.subject and metric = v_key
          and bucket = v_finest and bucket_start = _bucket_start(v_finest, _count_member.at) and member_digest = v_digest
          and (seen & v_bits = v_bits or v_bits is null or bucket <> 'month')
    ) then
        return v_new_in;
    end if;

    -- The rows, in the order of their keys: the month's, and the period's if it has one of its own.
    foreach v_bucket in array case
        when v_finest = 'month' and v_period in ('hour', 'day', 'month') then '{month}'
        when v_finest = 'month' then array['month', v_period]
        when v_slot is null then array[v_period]
        else array[v_period, 'month'] end
    loop
        insert into unique_members as u (subject, metric, bucket, bucket_start, member_digest, seen)
        values (_count_member.subject, v_key, v_bucket, _bucket_start(v_bucket, _count_member.at), v_digest,
                case v_bucket when 'month' then v_bits end)
        on conflict (subject, metric, bucket, bucket_start, member_digest) do update set
            seen = u.seen | excluded.seen,
            added = excluded.seen & ~ u.seen
        where u.seen & excluded.seen <> excluded.seen
        returning true, seen, added into v_written, v_seen, v_added;
        continue when v_written is null;
        foreach v_kind in array array[v_period, (_count_member.metric).rollup] loop
            continue when v_bucket <> _member_bucket(v_kind) or v_kind = 'none';
            if v_added is null or v_kind = v_slot then
                v_new_in := v_new_in || v_kind;
            elsif v_kind = 'day' then
                v_start := _bucket_start('day', _count_member.at);
                if _is_new('day', _slots(v_slot, _bucket_start('month', v_start), v_start, _bucket_end('day', v_start)), v_seen, v_added) then
                    v_new_in := v_new_in || v_kind;
                end if;
            end if;
        end loop;
    end loop;
    return v_new_in;
end
$$;

comment on function _count_member(metrics, text, timestamptz, text) is
    'Notes that a member was seen at a time; returns for which of the metric''s kinds of bucket it is new in the bucket of that time.';

-- _count_member() for a batch, whose members are looked at and written once each, in primary-key order.
create or replace function _count_members(batch batch_event[])
returns setof bucket_member
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_may_look boolean := current_setting('transaction_isolation') = 'read committed';
begin
    if not exists (select from unnest(batch) where aggregate = 'unique') then
        return;
    end if;
    return query
    with placed as (
        select distinct e.subject, e.metric, b.bucket, _bucket_start(b.bucket, e.at) as bucket_start, _digest(e.member) as member_digest,
               _slot_bucket(e.period, e.rollup) as slot
        from unnest(batch) e
        cross join lateral (values (e.period), (e.rollup)) as b (bucket)
        where e.aggregate = 'unique' and b.bucket is not null
    ), held as materialized (
        select p.*, _member_bucket(bucket) as row_bucket, _bucket_start(_member_bucket(bucket), bucket_start) as row_start,
               _slots(slot, _bucket_start('month', bucket_start), bucket_start, _bucket_end(bucket, bucket_start)) as slots
        from placed p
    ), added as (
        insert into unique_members as u (subject, metric, bucket, bucket_start, member_digest, seen)
        select *
        from (
            select subject, metric, row_bucket, row_start, member_digest, bit_or(slots) filter (where bucket = slot) as seen
            from held
            group by subject, metric, row_bucket, row_start, member_digest
        ) w
        where not (v_may_look and exists (
            select from unique_members u
            where u.subject = w.subject and u.metric = w.metric and u.bucket = w.row_bucket
              and u.bucket_start = w.row_start and u.member_digest = w.member_digest
              and (w.seen is null or u.seen & w.seen = w.seen)))
        order by 1, 2, 3, 4, 5
        on conflict (subject, metric, bucket, bucket_start, member_digest) do update set
            seen = u.seen | excluded.seen,
            added = excluded.seen & ~ u.seen
        where u.seen & excluded.seen <> excluded.seen
        returning subject, metric, bucket, bucket_start, member_digest, seen, added
    )
    select h.subject, h.metric, h.bucket, h.bucket_start, h.member_digest, null
    from held h
    join added a on a.subject = h.subject and a.metric = h.metric and a.bucket = h.row_bucket
        and a.bucket_start = h.row_start and a.member_digest = h.member_digest
    where _is_new(h.bucket, h.slots, a.seen, a.added);
end
$$;

comment on function _count_members(batch_event[]) is
    'Notes the members of a batch; returns in which buckets of their metrics which of them are new.';

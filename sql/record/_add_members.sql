-- Most members have already been seen in the hour of the event, so a plain read comes first: it locks no row. A member seen in the finer
-- bucket has been seen in the coarser one. The lock on the table comes before the read: rebuild() locks the table before it deletes members
-- that have no event, so it waits for every transaction that has relied on such a row. The caller has
-- locked the row of the series, as does a correction that takes a member away. The read needs a snapshot of its own, so a REPEATABLE READ or
-- SERIALIZABLE transaction skips it.
create or replace function _add_event_member(
    metric metrics, series_id integer, at timestamptz, member text, out in_fine numeric, out in_coarse numeric
)
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_period  text := (_add_event_member.metric).period;
    v_unit    text := _seen_unit(v_period, (_add_event_member.metric).rollup);
    v_bits    bit varying := _seen_bit(v_unit, _add_event_member.at);
    v_digest  uuid := _digest(_add_event_member.member);
    v_rollup  text := (_add_event_member.metric).rollup;
    v_finest  text := case when 'minute' in (v_period, v_rollup) then 'minute' when v_unit is null then v_period else 'month' end;
    v_rows    text[] := array[_member_bucket(v_period), nullif(_member_bucket(v_rollup), _member_bucket(v_period))];
    v_bucket  text;
    v_kind    text;
    v_start   timestamptz;
    v_day     bit varying;
    v_seen    bit varying;
    v_added   bit varying;
    v_written boolean;
    v_new_in  text[] := '{}';
begin
    lock table unique_members in row exclusive mode;
    if current_setting('transaction_isolation') = 'read committed' and exists (
        select from unique_members
        where series_id = _add_event_member.series_id
          and bucket = v_finest and bucket_start = _bucket_start(v_finest, _add_event_member.at) and member_digest = v_digest
          and (seen & v_bits = v_bits or v_bits is null or bucket <> 'month')
    ) then
        in_fine := 0;
        in_coarse := 0;
        return;
    end if;

    -- In primary-key order.
    if v_rows[1] > v_rows[2] collate "C" then
        v_rows := array[v_rows[2], v_rows[1]];
    end if;
    foreach v_bucket in array array_remove(v_rows, null)
    loop
        insert into unique_members as u (series_id, bucket, bucket_start, member_digest, seen)
        values (_add_event_member.series_id, v_bucket, _bucket_start(v_bucket, _add_event_member.at), v_digest,
                case v_bucket when 'month' then v_bits end)
        on conflict (series_id, bucket, bucket_start, member_digest) do update set
            seen = u.seen | excluded.seen,
            added = excluded.seen & ~ u.seen
        where u.seen & excluded.seen <> excluded.seen
        returning true, seen, added into v_written, v_seen, v_added;
        continue when v_written is null;
        foreach v_kind in array array[v_period, v_rollup] loop
            continue when v_bucket <> _member_bucket(v_kind) or v_kind = 'none';
            if v_added is null or v_kind = v_unit then
                v_new_in := v_new_in || v_kind;
            elsif v_kind = 'day' then
                v_start := _bucket_start('day', _add_event_member.at);
                v_day := _seen_mask(v_unit, _bucket_start('month', v_start), v_start, _bucket_end('day', v_start));
                if _is_new_member('day', v_day, v_seen, v_added) then
                    v_new_in := v_new_in || v_kind;
                end if;
            end if;
        end loop;
    end loop;
    in_fine := ((_add_event_member.metric).fine_bucket = any (v_new_in))::integer;
    in_coarse := ((_add_event_member.metric).coarse_bucket = any (v_new_in))::integer;
end
$$;

comment on function _add_event_member(metrics, integer, timestamptz, text) is
    'Adds the member of one event to unique_members; returns 1 where the member is new in the event''s fine or coarse bucket, else 0.';

-- The same as _add_event_member() for a batch: each row is read and written once, in primary-key order.
create or replace function _add_batch_members(batch batch_event[])
returns table (series_id integer, bucket text, bucket_start timestamptz, added bigint)
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_may_read boolean := current_setting('transaction_isolation') = 'read committed';
begin
    if not exists (select from unnest(batch) where member is not null) then
        return;
    end if;
    lock table unique_members in row exclusive mode;
    return query
    with placed as materialized (
        select distinct s.series_id, b.bucket, _bucket_start(b.bucket, e.at) as bucket_start, _digest(e.member) as member_digest,
               _seen_unit(m.period, m.rollup) as unit
        from unnest(batch) e
        join metrics m on m.key = e.metric
        cross join lateral (
            select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
        ) s
        cross join lateral (values (m.period), (nullif(m.rollup, 'none'))) as b (bucket)
        where e.member is not null and b.bucket is not null
    ), buckets as materialized (
        select b.*, _member_bucket(bucket) as row_bucket, _bucket_start(_member_bucket(bucket), bucket_start) as row_start,
               _seen_mask(unit, _bucket_start('month', bucket_start), bucket_start, _bucket_end(bucket, bucket_start)) as mask
        from (select distinct bucket, bucket_start, unit from placed) b
    ), held as materialized (
        select p.*, b.row_bucket, b.row_start, b.mask
        from placed p
        join buckets b on b.bucket = p.bucket and b.bucket_start = p.bucket_start and b.unit is not distinct from p.unit
    ), written as (
        insert into unique_members as u (series_id, bucket, bucket_start, member_digest, seen)
        select *
        from (
            select series_id, row_bucket, row_start, member_digest, bit_or(mask) filter (where bucket = unit) as seen
            from held
            group by series_id, row_bucket, row_start, member_digest
        ) w
        where not (v_may_read and exists (
            select from unique_members u
            where u.series_id = w.series_id and u.bucket = w.row_bucket
              and u.bucket_start = w.row_start and u.member_digest = w.member_digest
              and (w.seen is null or u.seen & w.seen = w.seen)))
        order by 1, 2, 3, 4
        on conflict (series_id, bucket, bucket_start, member_digest) do update set
            seen = u.seen | excluded.seen,
            added = excluded.seen & ~ u.seen
        where u.seen & excluded.seen <> excluded.seen
        returning series_id, bucket, bucket_start, member_digest, seen, added
    )
    select h.series_id, h.bucket, h.bucket_start, count(*)
    from held h
    join written w on w.series_id = h.series_id and w.bucket = h.row_bucket
        and w.bucket_start = h.row_start and w.member_digest = h.member_digest
    where _is_new_member(h.bucket, h.mask, w.seen, w.added)
    group by 1, 2, 3;
end
$$;

comment on function _add_batch_members(batch_event[]) is
    'Adds the members of a batch to unique_members; returns how many are new in each bucket that has new ones. Their series exist.';

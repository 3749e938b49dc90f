create or replace function _corrected_members(steps correction_step[])
returns setof corrected_bucket
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with members as materialized (
        select series_id, bucket, bucket_start, count(*) filter (where after) - count(*) filter (where before) as added
        from _member_changes(steps)
        group by 1, 2, 3
    )
    select c.metric, c.subject, c.aggregate, b.stored,
           (c.bucket_start, (b.stored).event_count + c.counts, greatest((b.stored).last_at, c.last_at), c.series_id, 0, c.bucket,
            (b.stored).total + m.added, null, null, null)::rollups
    from _step_sums(steps, '{unique}') c
    left join members m on m.series_id is not distinct from c.series_id and m.bucket = c.bucket and m.bucket_start = c.bucket_start
    cross join lateral (select _stored_bucket(c.series_id, c.bucket, c.bucket_start, 0) as stored offset 0) b;
end
$$;

comment on function _corrected_members(correction_step[]) is 'What _corrected_buckets() returns for unique metrics.';

-- A member is in a fine bucket if an event of it counts there, which the log tells; in a coarse one if it is in one of its fine buckets: those
-- concerned, or others, of which unique_members tells.
create or replace function _member_changes(steps correction_step[])
returns table (series_id integer, bucket text, bucket_start timestamptz, member_digest uuid, unit text, before boolean, after boolean)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with named as materialized (
        select distinct s.series_id, m.fine_bucket, m.coarse_bucket, _seen_unit(m.period, m.rollup) as unit,
               _bucket_start(m.fine_bucket, s.at) as fine_start, _digest(s.member) as member_digest
        from unnest(steps) s
        join metrics m on m.key = s.metric
        where s.kind is not null and m.aggregate = 'unique'
    ), counted as materialized (
        select distinct e.series_id, e.bucket_start, _digest(e.member) as member_digest from _counted_with(steps, '{unique}') e
    ), fine as materialized (
        select n.*, c.member_digest is not null as after
        from named n
        left join counted c
            on c.series_id is not distinct from n.series_id and c.bucket_start = n.fine_start and c.member_digest = n.member_digest
    )
    select f.series_id, f.fine_bucket, f.fine_start, f.member_digest, f.unit,
           _is_member(f.series_id, f.fine_bucket, f.fine_start, f.member_digest, f.unit), f.after
    from fine f
    union all
    select f.series_id, f.coarse_bucket, f.coarse_start, f.member_digest, f.unit,
           _is_member(f.series_id, f.coarse_bucket, f.coarse_start, f.member_digest, f.unit),
           f.after or _is_member_besides(f.series_id, f.fine_bucket, f.coarse_start, _bucket_end(f.coarse_bucket, f.coarse_start),
                                         f.member_digest, f.starts)
    from (
        select f.series_id, f.fine_bucket, f.coarse_bucket, _bucket_start(f.coarse_bucket, f.fine_start) as coarse_start, f.member_digest,
               f.unit, bool_or(f.after) as after, array_agg(f.fine_start) as starts
        from fine f
        where f.fine_bucket <> f.coarse_bucket
        group by 1, 2, 3, 4, 5, 6
    ) f;
end
$$;

comment on function _member_changes(correction_step[]) is
    'For each member that rows name which a correction writes, and each bucket that they are in: whether it is counted there, before and after.';

create or replace function _is_member(series_id integer, bucket text, bucket_start timestamptz, member_digest uuid, unit text)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_row  text := _member_bucket(_is_member.bucket);
    v_mask bit varying := case when _is_member.bucket in ('hour', 'day') then
        _seen_mask(unit, _bucket_start('month', _is_member.bucket_start), _is_member.bucket_start,
                   _bucket_end(_is_member.bucket, _is_member.bucket_start)) end;
begin
    return exists (
        select from unique_members u
        where u.series_id = _is_member.series_id and u.bucket = v_row and u.bucket_start = _bucket_start(v_row, _is_member.bucket_start)
          and u.member_digest = _is_member.member_digest and (v_mask is null or bit_count(u.seen & v_mask) > 0));
end
$$;

comment on function _is_member(integer, text, timestamptz, uuid, text) is 'Whether unique_members has a member in a bucket.';

-- Only hours, days and minutes are finer than another bucket of a metric.
create or replace function _is_member_besides(
    series_id integer, fine_bucket text, since timestamptz, until timestamptz, member_digest uuid, starts timestamptz[]
)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_fine text := _is_member_besides.fine_bucket;
    v_row  text := _member_bucket(v_fine);
begin
    return exists (
        select from unique_members u
        cross join lateral (
            select coalesce(bit_or(_seen_bit(v_fine, t)) filter (where _bucket_start('month', t) = u.bucket_start), _no_bits(v_fine)) as named
            from unnest(starts) t
        ) s
        where u.series_id = _is_member_besides.series_id and u.bucket = v_row and u.bucket_start >= _bucket_start(v_row, since)
          and u.bucket_start < until and u.member_digest = _is_member_besides.member_digest
          and case when v_fine = 'minute' then u.bucket_start <> all (starts)
                   else bit_count(u.seen & _seen_mask(v_fine, u.bucket_start, since, until) & ~ s.named) > 0 end);
end
$$;

comment on function _is_member_besides(integer, text, timestamptz, timestamptz, uuid, timestamptz[]) is
    'Whether unique_members has a member in [since, until) in fine buckets other than those that start at the given times.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _no_bits(unit text)
returns bit varying
language sql
immutable parallel safe
as $$
    select case unit when 'hour' then 0::bit(744) when 'day' then 0::bit(31) end
$$;

comment on function _no_bits(text) is 'A mask of unique_members.seen without a bit; null without bits.';

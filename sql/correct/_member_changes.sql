-- A member is in a fine bucket if an event of it counts there, which the log tells; in a coarse one if it is in one of its fine buckets: those
-- concerned, or others, of which unique_members tells. Only hours, days and minutes are finer than another bucket of a metric.
create or replace function _member_changes(plan bucket_plan)
returns setof member_change
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    if plan.members = '{}' then
        return;
    end if;
    return query
    with counted as materialized (
        select distinct e.series_id, e.bucket_start, e.member from _logged_besides(plan, '{unique}') e
    ), fine as materialized (
        select p.*, p.is_recorded or c.member is not null as after
        from unnest(plan.members) p
        left join counted c on c.series_id = p.series_id and c.bucket_start = p.fine_start and c.member = p.member
    ), coarse as materialized (
        select f.series_id, f.fine_bucket, f.coarse_bucket, _bucket_start(f.coarse_bucket, f.fine_start) as coarse_start, f.unit,
               f.member_digest, bool_or(f.after) as after, array_agg(f.fine_start) as starts
        from fine f
        where f.fine_bucket <> f.coarse_bucket
        group by 1, 2, 3, 4, 5, 6
    )
    select b.series_id, b.bucket, b.bucket_start, b.member_digest, b.unit, u.is_in is not null, b.after
    from (
        select f.series_id, f.fine_bucket as bucket, f.fine_start as bucket_start, f.member_digest, f.unit, f.after from fine f
        union all
        select c.series_id, c.coarse_bucket, c.coarse_start, c.member_digest, c.unit,
               c.after or _is_member_besides(c.series_id, c.fine_bucket, c.coarse_start, _bucket_end(c.coarse_bucket, c.coarse_start),
                                             c.member_digest, c.starts)
        from coarse c
    ) b
    left join lateral (
        select true as is_in
        from unique_members u
        where u.series_id = b.series_id and u.bucket = _member_bucket(b.bucket)
          and u.bucket_start = _bucket_start(_member_bucket(b.bucket), b.bucket_start) and u.member_digest = b.member_digest
          and (b.bucket not in ('hour', 'day') or bit_count(u.seen & case
                  when b.bucket = b.unit then _seen_bit(b.unit, b.bucket_start)
                  else _seen_mask(b.unit, _bucket_start('month', b.bucket_start), b.bucket_start, _bucket_end(b.bucket, b.bucket_start)) end) > 0)
        offset 0
    ) u on true;
end
$$;

comment on function _member_changes(bucket_plan) is
    'For each member that rows name which a correction writes, and each bucket that they are in: whether it is counted there, before and after.';

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

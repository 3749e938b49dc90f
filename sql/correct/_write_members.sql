-- The caller has locked the rows of the series, so what the log says cannot change meanwhile.
create or replace function _write_members(changes member_change[])
returns void
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    perform _correct_member_rows(array(
        select (r.series_id, r.row_bucket, r.row_start, r.member_digest, r.is_stored, r.is_member, r.is_stored, r.stored_seen,
                r.seen)::member_drift
        from (
            select c.*, u.member_digest is not null as is_stored, u.seen as stored_seen,
                   case when c.has_bits then coalesce(u.seen, c.added) & ~ c.removed | c.added end as seen,
                   case when c.has_bits then bit_count(coalesce(u.seen, c.added) & ~ c.removed | c.added) > 0 else c.present end as is_member
            from (
                select m.series_id, m.row_bucket, m.row_start, m.member_digest, m.has_bits, bool_or(m.after) as present,
                       coalesce(bit_or(_seen_bit(m.unit, m.bucket_start)) filter (where m.after and m.bucket = m.unit), _no_bits(m.unit)) as added,
                       coalesce(bit_or(_seen_bit(m.unit, m.bucket_start)) filter (where not m.after and m.bucket = m.unit), _no_bits(m.unit))
                           as removed
                from (
                    select m.*, r.row_bucket, _bucket_start(r.row_bucket, m.bucket_start) as row_start,
                           r.row_bucket = 'month' and m.unit is not null as has_bits
                    from unnest(changes) m
                    cross join lateral (select _member_bucket(m.bucket) as row_bucket offset 0) r
                    offset 0
                ) m
                where not m.has_bits or m.bucket = m.unit
                group by 1, 2, 3, 4, 5, m.unit
            ) c
            left join lateral (
                select u.member_digest, u.seen
                from unique_members u
                where u.series_id = c.series_id and u.bucket = c.row_bucket and u.bucket_start = c.row_start and u.member_digest = c.member_digest
                offset 0
            ) u on true
        ) r
        where r.is_stored or r.is_member));
end
$$;

comment on function _write_members(member_change[]) is
    'Makes unique_members have the members that count after a correction.';

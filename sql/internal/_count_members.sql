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

-- maintain() calls it before it locks the log, because it reads the whole partition. It names the partition, so that it locks no other table.
-- No nested loops: no statistics tell how many totals there are, because they are written here.
create or replace function _keep_totals(verdict month_verdict, kinds jsonb)
returns void
language plpgsql
volatile
set search_path from current
set work_mem to '128MB'
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_month timestamptz := (_keep_totals.verdict).month;
    v_part  bigint := (select totals_kept + 1 from log_months where month = v_month);
begin
    execute format($sql$
        insert into dropped_rollups (series_id, bucket, bucket_start, month, part, event_count, last_at, total, lowest, highest, latest)
        select e.series_id, k.bucket, _bucket_start(k.bucket, e.at), $1, $2, sum(coalesce(c.counts, 1)), max(e.at),
               sum(case when k.aggregate in ('sum', 'count', 'avg') then e.quantity when k.aggregate = 'unique' then 0 end),
               min(e.quantity) filter (where k.aggregate = 'min' and o.event_id is null),
               max(e.quantity) filter (where k.aggregate = 'max' and o.event_id is null),
               max(array[extract(epoch from e.at), e.event_id, e.quantity]) filter (where k.aggregate = 'last' and o.event_id is null)
        from %I e
        left join event_kinds c on c.event_id = e.event_id
        left join (select distinct event_id from _left_out_rows()) o on o.event_id = e.event_id
        join series s on s.series_id = e.series_id and s.stripe = 0
        join jsonb_to_recordset($3) as k (key text, aggregate text, bucket text) on k.key = s.metric
        group by 1, 2, 3
        $sql$, (_keep_totals.verdict).partition_name) using v_month, v_part, kinds;
    execute format($sql$
        with members as materialized (
            select distinct e.series_id, k.bucket, _bucket_start(k.bucket, e.at) as bucket_start, _digest(e.member) as member_digest
            from %I e
            join series s on s.series_id = e.series_id and s.stripe = 0
            join jsonb_to_recordset($3) as k (key text, aggregate text, bucket text) on k.key = s.metric and k.aggregate = 'unique'
            where not exists (select from _left_out_rows() o where o.event_id = e.event_id)
        ), kept as (
            insert into dropped_members (series_id, bucket, bucket_start, member_digest, month, part)
            select series_id, bucket, bucket_start, member_digest, $1, $2 from members where bucket <> 'month'
            on conflict do nothing
        )
        update dropped_rollups d set total = m.total
        from (select series_id, bucket, bucket_start, count(*) as total from members group by 1, 2, 3) m
        where d.series_id = m.series_id and d.bucket = m.bucket and d.bucket_start = m.bucket_start and d.month = $1 and d.part = $2
        $sql$, (_keep_totals.verdict).partition_name) using v_month, v_part, kinds;
end
$$;

comment on function _keep_totals(month_verdict, jsonb) is
    'Writes the totals of a partition that maintain() is about to drop or detach to dropped_rollups and dropped_members. kinds is the '
    'result of _metric_kinds().';

-- Reads the catalog in a block that is rolled back, which releases the lock on it. Otherwise a deadlock is possible: define_metric() may
-- wait for the catalog while it holds a lock on the log, and maintain() locks the log next.
create or replace function _metric_kinds()
returns jsonb
language plpgsql
volatile
set search_path from current
as $$
declare
    v_kinds jsonb;
begin
    v_kinds := (select coalesce(jsonb_agg(jsonb_build_object('key', key, 'aggregate', aggregate, 'bucket', _kept_bucket(period))), '[]')
                from metrics);
    raise savepoint_exception;
exception when savepoint_exception then
    return v_kinds;
end
$$;

comment on function _metric_kinds() is
    'Returns a JSON array with the key and aggregate of every metric, and the kind of bucket for which its dropped totals are kept.';

-- Can be inlined: it has no SET and uses only pg_catalog. Buckets of the other periods lie within one month.
create or replace function _kept_bucket(period text)
returns text
language sql
immutable parallel safe
as $$
    select case when period in ('week', 'year', 'never') then period else 'month' end
$$;

comment on function _kept_bucket(text) is
    'Returns the kind of bucket for which the totals of dropped events are kept, for a metric with this period.';

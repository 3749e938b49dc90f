-- The caller has locked all rows of the series, so nobody writes a stripe or creates one. A stripe's row is deleted: a recorder that waits for
-- it finds none, and creates a new one. The versions of deleted rows go to row 0, so that the sum of all versions of a series only grows.
create or replace function _merge_stripes(series_ids integer[])
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
declare
    v_striped integer[] := array(
        select s.series_id from series s where s.series_id = any (series_ids) and s.stripe > 0
        union
        select r.series_id from rollups r where r.series_id = any (series_ids) and r.stripe > 0);
    v_amounts rollups[];
    v_rows    bigint;
begin
    if v_striped = '{}' then
        return 0;
    end if;
    v_amounts := array(
        select (b.bucket_start, b.event_count, b.last_at, b.series_id, 0, b.bucket, b.total, b.lowest, b.highest, b.latest)::rollups
        from (
            select * from _open_halves(v_striped) where stripe > 0
            union all
            select * from rollups r where r.series_id = any (v_striped) and r.stripe > 0
        ) b);
    with deleted_rollups as (
        delete from rollups r where r.stripe > 0 and r.series_id = any (v_striped) returning 1
    ), deleted as (
        delete from series s where s.stripe > 0 and s.series_id = any (v_striped) returning s.series_id, s.version
    ), merged as (
        update series s set
            has_stripes = false, version = s.version + coalesce((select sum(d.version) from deleted d where d.series_id = s.series_id), 0) + 1
        where s.series_id = any (v_striped) and s.stripe = 0
    )
    select (select count(*) from deleted_rollups) + (select count(*) from deleted) into v_rows;
    -- An amount of nothing in the open bucket: a series is found by its fine buckets, and may have lost these.
    perform _add_to_buckets(v_amounts || array(
        select (s.fine_start, 0, s.fine_start, s.series_id, 0, m.fine_bucket, null, null, null, null)::rollups
        from series s
        join metrics m on m.key = s.metric
        where s.series_id = any (v_striped) and s.stripe = 0));
    return v_rows;
end
$$;

comment on function _merge_stripes(integer[]) is
    'Adds the stripes of series to their rows 0 and deletes them; returns how many rows of series and rollups that were.';

create or replace function _open_halves(series_ids integer[])
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select h.*
    from series s
    join metrics m on m.key = s.metric
    cross join lateral (
        select (_coarse_half(s, m.coarse_bucket)).* where s.coarse_count > 0
        union all
        select (_fine_half(s, m.fine_bucket)).* where s.fine_count > 0 and m.fine_bucket <> m.coarse_bucket
    ) h
    where s.series_id = any (series_ids);
end
$$;

comment on function _open_halves(integer[]) is 'The open buckets of series, those of every stripe, as rollups.';

-- The caller has locked all rows of the series, so nobody writes a stripe or creates one. While the metric is striped, the rows of its stripes
-- stay, without events, for the recorders that come back to them. Otherwise they are deleted: a recorder that waits for one finds none, and
-- continues with row 0. The versions of deleted rows go to row 0, so that the sum of all versions of a series only grows.
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
    with rows_of_rollups as (
        delete from rollups r where r.series_id = any (v_striped) and r.stripe > 0 returning 1
    ), emptied as (
        update series s set
            version = s.version + 1, ahead_at = null, fine_count = 0, coarse_count = 0, fine_last_at = s.fine_start, coarse_last_at = s.fine_start,
            fine_total = case when s.fine_total is not null then 0 end, coarse_total = case when s.coarse_total is not null then 0 end,
            fine_lowest = null, coarse_lowest = null, fine_highest = null, coarse_highest = null, fine_latest = null, coarse_latest = null
        from metrics m
        where s.series_id = any (v_striped) and s.stripe > 0 and m.key = s.metric and m.striped and s.coarse_count > 0
        returning 1
    ), deleted as (
        delete from series s
        where s.series_id = any (v_striped) and s.stripe > 0 and not exists (select from metrics m where m.key = s.metric and m.striped)
        returning s.series_id, s.version
    ), unstriped as (
        update series s set has_stripes = false, version = s.version + d.version + 1
        from (select series_id, sum(version)::bigint as version from deleted group by series_id) d
        where s.series_id = d.series_id and s.stripe = 0
    )
    select (select count(*) from rows_of_rollups) + (select count(*) from emptied) + (select count(*) from deleted) into v_rows;
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
    'Adds the stripes of series to their rows 0; returns how many rows of series and rollups that were.';

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

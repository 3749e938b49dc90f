-- Rows are found by index, whatever the statistics say: only nested loops are left, x = ANY (ARRAY[y]) is a look-up of x for each y and never of
-- y for x, and no condition of the row that is looked up is a constant, which would be a look-up by itself.
-- Only stripes that the caller has locked are merged: one that appears meanwhile keeps what it has. With forget, for which row 0 is locked FOR
-- UPDATE, they are deleted if the metric is no longer recorded in them: a recorder that waits for one finds none, and creates it again or continues
-- with row 0. Otherwise they stay, without events, for the recorders that come back to them.
create or replace function _merge_stripes(series_ids integer[], stripes series[], forget boolean default false)
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
    v_stripes series[] := coalesce(_merge_stripes.stripes, array(
        select s from series s where s.series_id = any (series_ids) and s.stripe > 0 order by s.series_id, s.stripe for update));
    v_striped integer[] := array(
        select l.series_id from unnest(v_stripes) l
        union
        select r.series_id from rollups r where r.series_id = any (series_ids) and r.stripe > 0);
    v_amounts rollups[];
    v_rows    bigint;
begin
    if v_striped = '{}' then
        return 0;
    end if;
    -- EXCEPT and NOT IN compare sets by hashing; a join could only be a nested loop here.
    with others as materialized (
        select s.series_id, s.stripe from series s where s.series_id = any (v_striped) and s.stripe > 0
        except
        select l.series_id, l.stripe from unnest(v_stripes) l
    ), taken as (
        delete from rollups r
        where r.series_id = any (v_striped) and r.stripe > 0 and (r.series_id, r.stripe) not in (select series_id, stripe from others)
        returning r.*
    )
    select array_agg((b.bucket_start, b.event_count, b.last_at, b.series_id, 0, b.bucket, b.total, b.lowest, b.highest, b.latest)::rollups),
           (select count(*) from taken)
    into v_amounts, v_rows
    from (
        select * from taken
        union all
        select * from _open_halves(v_striped) h where h.stripe > 0 and (h.series_id, h.stripe) not in (select series_id, stripe from others)
    ) b;
    update series s set
        version = s.version + 1, ahead_at = null, fine_count = 0, coarse_count = 0, fine_last_at = '-infinity', coarse_last_at = '-infinity',
        fine_total = case when s.fine_total is not null then 0 end, coarse_total = case when s.coarse_total is not null then 0 end,
        fine_lowest = null, coarse_lowest = null, fine_highest = null, coarse_highest = null, fine_latest = null, coarse_latest = null
    from unnest(v_stripes) l
    where s.series_id = any (array[l.series_id]) and s.stripe = l.stripe;
    if forget then
        perform _forget_stripes(v_stripes);
    end if;
    -- An amount of nothing, for series whose stripes had no events.
    perform _add_to_buckets(v_amounts || array(select a from _empty_amounts(v_striped) a));
    return v_rows + cardinality(v_stripes);
end
$$;

comment on function _merge_stripes(integer[], series[], boolean) is
    'Adds the given stripes (null: all) of series to their rows 0, which the caller has locked, and with forget deletes them if the metric is not '
    'striped. Returns how many rows of series and rollups were merged.';

-- The versions of deleted rows go to row 0, so that the sum of all versions of a series only grows.
create or replace function _forget_stripes(stripes series[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    with deleted as (
        delete from series s
        using unnest(stripes) l
        where s.series_id = any (array[l.series_id]) and s.stripe = l.stripe
          and not exists (select from metrics m where m.key = s.metric and m.striped and not m.limited)
        returning s.series_id, s.version
    )
    update series s set
        version = s.version + d.version + 1,
        has_stripes = d.rows < (select count(*) from series t where t.series_id = d.series_id and t.stripe > 0)
    from (select series_id, 0::smallint as stripe, sum(version)::bigint as version, count(*) as rows from deleted group by series_id) d
    where s.series_id = any (array[d.series_id]) and s.stripe = d.stripe;
end
$$;

comment on function _forget_stripes(series[]) is 'Deletes stripes that have been merged, of metrics that are no longer striped, or are limited.';

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
    from unnest(series_ids) i (series_id)
    cross join lateral (
        select h.*
        from series s
        join metrics m on m.key = s.metric
        cross join lateral (
            select h.* from _coarse_half(s, m.coarse_bucket) h where s.coarse_last_at > '-infinity'
            union all
            select h.* from _fine_half(s, m.fine_bucket) h where s.fine_last_at > '-infinity' and m.fine_bucket <> m.coarse_bucket
        ) h
        where s.series_id = i.series_id
        offset 0
    ) h;
end
$$;

comment on function _open_halves(integer[]) is 'The open buckets of series, those of every stripe, as rollups.';

create or replace function _empty_amounts(series_ids integer[])
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select a.fine_start, 0::bigint, '-infinity'::timestamptz, i.series_id, 0::smallint, a.fine_bucket,
           null::numeric, null::numeric, null::numeric, null::numeric[]
    from unnest(series_ids) i (series_id)
    cross join lateral (
        select s.fine_start, m.fine_bucket
        from series s
        join metrics m on m.key = s.metric
        where s.series_id = i.series_id and s.stripe = 0
        offset 0
    ) a;
end
$$;

comment on function _empty_amounts(integer[]) is
    'An amount of nothing for the open fine bucket of each series, row 0. _add_to_buckets() then opens the latest bucket that has events.';

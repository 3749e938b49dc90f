create or replace function _buckets_between(series_id integer, bucket text, open rollups[], since timestamptz, until timestamptz)
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select r.*
    from rollups r
    where r.series_id = _buckets_between.series_id and r.bucket = _buckets_between.bucket and r.bucket_start >= _buckets_between.since
      and r.bucket_start < _buckets_between.until
    union all
    select o.*
    from unnest(_buckets_between.open) o
    where o.bucket = _buckets_between.bucket and o.bucket_start >= _buckets_between.since and o.bucket_start < _buckets_between.until;
end
$$;

comment on function _buckets_between(integer, text, rollups[], timestamptz, timestamptz) is
    'The buckets of a kind of a series that start in [since, until), those that are open among them.';

create or replace function _first_use(series_id integer, bucket text, open rollups[], at timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return least(
        (select r.bucket_start
         from rollups r
         where r.series_id = _first_use.series_id and r.bucket = _first_use.bucket and r.bucket_start < _first_use.at and r.event_count > 0
         order by r.bucket_start
         limit 1),
        (select min(o.bucket_start)
         from unnest(_first_use.open) o
         where o.bucket = _first_use.bucket and o.bucket_start < _first_use.at and o.event_count > 0));
end
$$;

comment on function _first_use(integer, text, rollups[], timestamptz) is
    'The start of the first bucket of a series that has an event and begins before an instant; null without one.';

create or replace function _last_use(series_id integer, bucket text, open rollups[], at timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return greatest(
        (select r.bucket_start
         from rollups r
         where r.series_id = _last_use.series_id and r.bucket = _last_use.bucket and r.bucket_start < _last_use.at and r.event_count > 0
         order by r.bucket_start desc
         limit 1),
        (select max(o.bucket_start)
         from unnest(_last_use.open) o
         where o.bucket = _last_use.bucket and o.bucket_start < _last_use.at and o.event_count > 0));
end
$$;

comment on function _last_use(integer, text, rollups[], timestamptz) is
    'The start of the last bucket of a series that has an event and begins before an instant; null without one.';

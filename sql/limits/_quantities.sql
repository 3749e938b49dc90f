-- Where the events of a bucket were dropped, it cannot be cut: all of it counts after an instant inside of it.
create or replace function _quantities(metric metrics, subject text, windows tstzrange[])
returns numeric[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_fine    text := (_quantities.metric).fine_bucket;
    v_dropped timestamptz[] := '{}';
    v_short   interval := case v_fine when 'minute' then interval '1 day' when 'hour' then interval '32 days' else interval '800 days' end;
begin
    if not exists (
        select from unnest(windows) w
        where _bucket_start(v_fine, lower(w)) <> lower(w) or _bucket_start(v_fine, upper(w)) <> upper(w)
           or coalesce(upper(w), now()) - lower(w) > v_short
    ) and v_fine <> (_quantities.metric).coarse_bucket then
        return _bucket_quantities(_quantities.metric, _find_series((_quantities.metric).key, _quantities.subject), windows);
    elsif exists (
        select from unnest(windows) w
        where lower(w) < _bucket_start('month', now()) and _bucket_start(v_fine, lower(w)) <> lower(w)
           or upper(w) < _bucket_start('month', now()) and _bucket_start(v_fine, upper(w)) <> upper(w)
    ) then
        v_dropped := array(select _dropped_months());
    end if;
    return array(
        select u.quantity
        from _bulk_usage(_quantities.metric, _quantities.subject, array(
            select _cut_window(_quantities.metric, _readable(v_fine, lower(w), v_dropped), _readable(v_fine, upper(w), v_dropped))
            from unnest(windows) with ordinality n (w, number)
            order by n.number)) u);
end
$$;

comment on function _quantities(metrics, text, tstzrange[]) is
    'The usage of a subject in each of these windows, of a sum or count. Raises 40001 as _check_all_edges() does.';

create or replace function _readable(bucket text, at timestamptz, dropped timestamptz[])
returns timestamptz
language sql
immutable
set search_path from current
as $$
    select case when _overlaps_months(dropped, _bucket_start(bucket, at), _bucket_end(bucket, _bucket_start(bucket, at)))
                then _bucket_start(bucket, at) else at end
$$;

comment on function _readable(text, timestamptz, timestamptz[]) is
    'An instant, or the start of its bucket if events of that were dropped.';

create or replace function _bucket_quantities(metric metrics, series_id integer, windows tstzrange[])
returns numeric[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return array(
        select (
            select coalesce(sum(r.total), 0)
            from rollups r
            where r.series_id = _bucket_quantities.series_id and r.bucket = (_bucket_quantities.metric).fine_bucket
              and r.bucket_start >= lower(n.w) and r.bucket_start < coalesce(upper(n.w), 'infinity')
        ) + (
            select coalesce(sum(s.fine_total), 0)
            from series s
            where s.series_id = _bucket_quantities.series_id and s.fine_last_at > '-infinity'
              and s.fine_start >= lower(n.w) and s.fine_start < coalesce(upper(n.w), 'infinity'))
        from unnest(windows) with ordinality n (w, number)
        order by n.number);
end
$$;

comment on function _bucket_quantities(metrics, integer, tstzrange[]) is
    'The usage of a series in each of these windows of whole fine buckets, of a sum or count whose coarse buckets are longer.';

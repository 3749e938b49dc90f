-- The usual period is the open one, which the row of the series holds. A window of whole fine buckets is added up from rollups; nothing of it is read
-- from the log, which would cost ten times as much. All others, and those over many buckets, are asked of _window_usage().
create or replace function _limit_used(metric metrics, series series, since timestamptz, until timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    m      metrics := _limit_used.metric;
    s      series := _limit_used.series;
    v_used numeric;
begin
    if s.series_id is null then
        return 0;
    elsif not s.has_stripes and s.coarse_last_at > '-infinity' and since = s.coarse_start and coalesce(until, 'infinity') = s.coarse_end then
        return coalesce(_quantity(m.aggregate, s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest[3]), 0);
    elsif s.has_stripes or m.aggregate = 'unique' or m.fine_bucket not in ('minute', 'hour', 'day')
        or _bucket_start(m.fine_bucket, since) <> since or _bucket_start(m.fine_bucket, until) <> until
        or coalesce(until, now()) - since > (
            case m.fine_bucket when 'minute' then interval '1 day' when 'hour' then interval '32 days' else interval '800 days' end) then
        select (_window_usage(m, s.subject, k.since, k.until)).quantity into v_used
        from _kept_window(m, _limit_used.since, _limit_used.until) k;
        return v_used;
    end if;
    select coalesce(_quantity(m.aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest), (max(p.latest))[3]), 0)
    into v_used
    from (
        select r.event_count, r.total, r.lowest, r.highest, r.latest
        from rollups r
        where r.series_id = s.series_id and r.bucket = m.fine_bucket and r.bucket_start >= _limit_used.since
          and r.bucket_start < coalesce(_limit_used.until, 'infinity')
        union all
        select s.fine_count, s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest
        where s.fine_last_at > '-infinity' and s.fine_start >= _limit_used.since and s.fine_start < coalesce(_limit_used.until, 'infinity')
    ) p;
    return v_used;
end
$$;

comment on function _limit_used(metrics, series, timestamptz, timestamptz) is
    'What is used of a limit in its period [since, until), given the row of the series; a null until leaves that side open.';

-- A call that records must not fail because retention has dropped what its limits need: then they count more, as in the oldest bucket of a trailing
-- window, and P11 holds.
create or replace function _kept_window(metric metrics, inout since timestamptz, inout until timestamptz)
language plpgsql
stable
set search_path from current
as $$
declare
    v_fine text := metric.fine_bucket;
    v_cut  window_cut := _cut_window(metric, since, until);
    v_head boolean := false;
    v_tail boolean := false;
begin
    if v_cut.since < v_cut.fine_since or v_cut.fine_until < v_cut.until then
        select coalesce(bool_or(m.month < v_cut.fine_since and _bucket_end('month', m.month) > v_cut.since), false),
               coalesce(bool_or(m.month < v_cut.until and _bucket_end('month', m.month) > v_cut.fine_until), false)
        into v_head, v_tail
        from _dropped_months() m (month);
    end if;
    if v_head and v_cut.since < v_cut.fine_since then
        since := _bucket_start(v_fine, since);
        v_tail := v_tail or v_cut.fine_since = v_cut.until;  -- within one bucket
    end if;
    if v_tail then
        until := nullif(_next_bucket_start(v_fine, until), 'infinity');
    end if;
end
$$;

comment on function _kept_window(metrics, timestamptz, timestamptz) is
    'The window [since, until) with whole fine buckets at those ends whose events retention has dropped; a null until leaves that side open.';

create or replace function _find_series_row(metric metrics, subject text)
returns series
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_series series;
begin
    select * into v_series
    from series s
    where s.metric = (_find_series_row.metric).key and s.subject = _find_series_row.subject and s.stripe = 0;
    v_series.metric := (_find_series_row.metric).key;
    v_series.subject := _find_series_row.subject;
    return v_series;
end
$$;

comment on function _find_series_row(metrics, text) is
    'The row of a series with stripe 0. If there is none, all fields but metric and subject are null.';

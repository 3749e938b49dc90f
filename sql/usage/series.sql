create or replace function series(
    subject text,
    metric text,
    since timestamptz,
    until timestamptz,
    step text default 'day',
    timezone text default 'UTC'
)
returns setof usage_bucket
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('series') or _check_caller('series') then _metric(series.metric) end;
    v_starts timestamptz[];
    v_ends   timestamptz[];
    v_cuts   window_cut[];
begin
    perform _check_subject(series.subject);
    if series.since is null or series.until is null then
        raise exception using errcode = '22004', message = 'since or until is null', column = 'since',
            hint = 'A series has two ends: give since and until.';
    end if;
    perform resolve_window(since => series.since, until => series.until, timezone => series.timezone);
    select array_agg(b.bucket_start), array_agg(b.bucket_end), array_agg(c)
    into v_starts, v_ends, v_cuts
    from _buckets(series.since, series.until, series.step, series.timezone) b
    cross join lateral _cut_window(v_metric, b.bucket_start, b.bucket_end) c;
    return query
        select b.bucket_start, b.bucket_end, b.quantity, b.event_count
        from rows from (unnest(v_starts, v_ends), _usages(v_metric, series.subject, v_cuts))
            as b (bucket_start, bucket_end, event_count, quantity);
end
$$;

comment on function series(text, text, timestamptz, timestamptz, text, text) is
    'The usage in each bucket of [since, until), empty ones as 0: a chart plots it as it is. step: a calendar unit (minute to year) in '
    'the time zone, the first and last bucket cut to the window; or a duration such as 15m, counted from since. The buckets tile the '
    'window. Raises as usage() does, 22023 for an unknown step or more than 100,000 buckets.';

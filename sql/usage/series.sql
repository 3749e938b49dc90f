create or replace function series(
    subject text,
    metric text,
    since timestamptz,
    until timestamptz,
    step text default 'day',
    timezone text default 'UTC',
    as_of timestamptz default null
)
returns setof usage_bucket
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('series') or _check_caller('series') then _get_metric(series.metric) end;
    v_starts timestamptz[];
    v_ends   timestamptz[];
    v_cuts   window_cut[];
    v_carried numeric;
begin
    perform _check_name('subject', series.subject), _check_here(series.subject);
    if series.since is null or series.until is null then
        raise exception using errcode = '22004', message = 'since or until is null', column = 'since',
            hint = 'Pass both since and until.';
    end if;
    if series.as_of is not null then perform _check_as_of(series.subject, series.as_of); end if;
    perform resolve_window(since => series.since, until => series.until, timezone => series.timezone);
    select array_agg(b.bucket_start), array_agg(b.bucket_end), array_agg(c)
    into v_starts, v_ends, v_cuts
    from _series_buckets(series.since, series.until, series.step, series.timezone, series.subject) b
    cross join lateral _cut_window(v_metric, b.bucket_start, b.bucket_end) c;
    v_carried := case
        when series.as_of is null then _carried_value(v_metric, _find_series(v_metric.key, series.subject), series.since)
        else _carried_as_of(v_metric, _find_series(v_metric.key, series.subject), series.since, series.as_of) end;
    return query
        with buckets as (
            select b.*, count(*) filter (where b.event_count > 0) over (order by b.n) as filled
            from rows from (unnest(v_starts, v_ends), _windows_usage(v_metric, series.subject, v_cuts, series.as_of)) with ordinality
                as b (bucket_start, bucket_end, event_count, quantity, n)
        ), carried as (
            -- `filled` is the same for a bucket with events and the empty buckets after it; it is 0 before the first bucket with events.
            select b.*, case
                when not v_metric.carry or b.bucket_start >= v_metric.retired_at then null
                when b.filled = 0 then v_carried
                else first_value(b.quantity) over (partition by b.filled order by b.n)
            end as value
            from buckets b
        )
        select c.bucket_start, c.bucket_end,
               case when c.event_count > 0 or c.quantity <> 0 then c.quantity
                    when v_metric.aggregate in ('sum', 'count', 'unique') then 0
                    else c.value end,
               c.event_count, c.event_count > 0 or c.quantity <> 0 or c.value is not null
        from carried c
        order by c.n;
end
$$;

comment on function series(text, text, timestamptz, timestamptz, text, text, timestamptz) is
    'Returns the usage in each bucket of the window [since, until), in the order of time. The buckets tile the window. step is a calendar unit '
    '(minute, hour, day, week, month, year) in the time zone, or cycle, the subject''s billing cycles (set_billing_cycle()), or a duration such as '
    '15m, counted from since. The first and the last bucket are cut to the window. A bucket without events has quantity 0 for sum, count and '
    'unique, the value before it for a metric with carry, and null for other metrics. as_of: only what had been recorded up to that watermark. '
    'Raises 22004 or 22023 for an invalid argument or for more than 100,000 buckets, and otherwise as usage() does. Example: SELECT '
    'bucket_start::date AS day, quantity, event_count FROM meter.series(''acct_1'', ''tokens'', since => ''2026-06-16'', until => ''2026-06-19'');';

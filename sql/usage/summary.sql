create or replace function summary(
    subject text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now(),
    as_of timestamptz default null
)
returns setof usage_total
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('summary') then perform _check_caller('summary'); end if;
    perform _check_name('subject', summary.subject), _check_here(summary.subject);
    return query
        select u.*
        from metrics m
        cross join lateral usage(
            summary.subject, m.key, summary.period, summary.since, summary.until, summary.timezone, summary.now,
            summary.as_of) u
        where m.retired_at is null or u.has_data
        order by m.key;
end
$$;

comment on function summary(text, text, timestamptz, timestamptz, text, timestamptz, timestamptz) is
    'Returns the usage of a subject in a window, one row per metric, in the order of the metrics'' keys: the lines of an invoice. Metrics without '
    'usage are included, with quantity 0; retired metrics only if they have usage in the window. Without a window: each metric''s own current '
    'period. With period cycle: in the subject''s billing cycle. as_of: only what had been recorded up to that watermark. Raises 22004 or 22023 '
    'for an invalid argument, UM006, 40001 and 55P03 as usage() does, UM008 for a subject that is on another shard or being moved. Example: SELECT '
    'metric, quantity, unit, event_count FROM '
    'meter.summary(''acct_1'', period => ''month'', now => ''2026-06-18'');';

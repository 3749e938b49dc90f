create or replace function summary(
    subject text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
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
    perform _check_name('subject', summary.subject);
    return query
        select u.*
        from metrics m
        cross join lateral usage(
            summary.subject, m.key, summary.period, summary.since, summary.until, summary.timezone, summary.now) u
        where m.retired_at is null or u.has_data
        order by m.key;
end
$$;

comment on function summary(text, text, timestamptz, timestamptz, text, timestamptz) is
    'The usage of every metric in use, by key, zeros included, and of the retired ones that have usage in the window: the lines of an '
    'invoice. No window given: each metric''s own current period. Raises 22004 or 22023 for a bad value, UM006 and 40001 as usage() does.';

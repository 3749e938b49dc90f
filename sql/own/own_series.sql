create or replace function own_series(
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
begin
    perform _check_own(own_series.subject);
    return query select * from series(own_series.subject, own_series.metric, own_series.since, own_series.until, own_series.step,
        own_series.timezone);
end
$$;

comment on function own_series(text, text, timestamptz, timestamptz, text, text) is
    'series() for a role that grant_access() has bound to this subject. Raises as series() does, 42501 for any other subject.';

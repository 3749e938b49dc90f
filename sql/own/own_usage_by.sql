create or replace function own_usage_by(
    subject text,
    metric text,
    dimension text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns setof usage_group
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_usage_by.subject);
    return query select * from usage_by(own_usage_by.subject, own_usage_by.metric, own_usage_by.dimension, own_usage_by.period,
        own_usage_by.since, own_usage_by.until, own_usage_by.timezone, own_usage_by.now);
end
$$;

comment on function own_usage_by(text, text, text, text, timestamptz, timestamptz, text, timestamptz) is
    'usage_by() for a role that grant_access() has bound to this subject. Raises as usage_by() does, 42501 for any other subject.';

create or replace function check_quota(
    subject text,
    metric text,
    quota numeric,
    requested numeric default null,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns quota_status
language plpgsql
stable
security definer
set search_path from current
as $$
declare
    v_total usage_total;
begin
    if quota is null then
        raise exception using errcode = '22004', message = 'quota is null', column = 'quota',
            hint = 'Give the quota in the metric''s unit; without a quota there is nothing to check.';
    elsif quota < 0 or quota in ('NaN', 'Infinity', '-Infinity') or requested < 0 or requested in ('NaN', 'Infinity') then
        raise exception using errcode = '22023', message = 'quota or requested is negative or not finite',
            column = case when quota < 0 or quota in ('NaN', 'Infinity') then 'quota' else 'requested' end,
            detail = format('quota %s, requested %s.', quota, coalesce(requested::text, 'null')),
            hint = 'Give decimal numbers that are not negative, in the metric''s unit.';
    end if;
    v_total := usage(check_quota.subject, check_quota.metric, check_quota.period,
        check_quota.since, check_quota.until, check_quota.timezone, check_quota.now);
    return (v_total.metric,
            case when requested is null then v_total.quantity < quota else v_total.quantity + requested <= quota end,
            v_total.quantity, greatest(quota - v_total.quantity, 0), quota, v_total.unit);
end
$$;

comment on function check_quota(text, text, numeric, numeric, text, timestamptz, timestamptz, text, timestamptz) is
    'Whether a subject may go on: used < quota or, where an amount is requested, used + requested <= quota. Window as for usage(). '
    'It reads and does not reserve. Raises as usage() does, 22004 or 22023 for a bad quota.';

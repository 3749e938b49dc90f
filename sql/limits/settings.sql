create or replace function settings()
returns setof setting
language sql
stable
security definer
set search_path from current
as $$
    select r.name, coalesce(s.value, r.default_value), r.default_value, r.description
    from _setting_rules() r
    left join settings s on s.name = r.name
    where not _is_open('settings') or _check_caller('settings')
    order by r.name
$$;

comment on function settings() is
    'Returns the settings of the meter: value, default and effect of each. Example: SELECT name, value FROM meter.settings();';

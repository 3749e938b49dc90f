create or replace function set_setting(name text, value text)
returns setting
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_before  setting;
    v_setting setting;
begin
    if _is_open('set_setting') then perform _check_caller('set_setting'); end if;
    perform _check_setting(set_setting.name, set_setting.value);
    perform _lock('catalog');
    select * into v_before from settings() s where s.name = set_setting.name;
    if set_setting.value is null then
        delete from settings s where s.name = set_setting.name;
    else
        insert into settings (name, value) values (set_setting.name, set_setting.value)
        on conflict (name) do update set value = excluded.value, changed_at = now();
    end if;
    perform _check_settings();
    select * into v_setting from settings() s where s.name = set_setting.name;
    perform _log_change('set_setting', set_setting.name, to_jsonb(v_before.value), to_jsonb(v_setting.value));
    return v_setting;
end
$$;

comment on function set_setting(text, text) is
    'Changes a setting of the meter and returns it; a null value restores the default. settings() lists the names. Raises 22004 or 22023 for an '
    'unknown name or a value that the setting cannot have. Example: BEGIN; SELECT name, value, default_value FROM '
    'meter.set_setting(''notifications_keep'', ''30 days''); ROLLBACK;';

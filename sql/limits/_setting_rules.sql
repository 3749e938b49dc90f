create or replace function _setting_rules()
returns table (name text, default_value text, kind text, description text)
language sql
immutable parallel safe
set search_path from current
as $$
    values
        ('admin_log_keep', '10 years', 'duration', 'How long maintain() keeps the entries of admin_log().'),
        ('currency', 'USD', 'currency', 'The currency of plans whose first price names none.'),
        ('four_eyes', 'false', 'boolean', 'Whether a correction must be approved by another role than the one that opened it.'),
        ('grace', '1 hour', 'duration', 'How long after the end of a billing cycle close_due() closes it.'),
        ('late_usage', 'ask', 'decision',
            'What closing the next period decides about late usage: ask (nothing: settle_late_usage() does), bill or waive.'),
        ('notifications_keep', '90 days', 'duration', 'How long maintain() keeps notifications.'),
        ('reservation_ttl', '10 minutes', 'duration', 'How long a reservation holds if reserve() or extend() is given no ttl.'),
        ('reservation_ttl_max', '1 day', 'duration', 'The longest ttl that reserve() and extend() accept.'),
        ('rounding', 'total', 'rounding',
            'What invoice() rounds first: total (lines are adjusted so that they add up to it) or line (the total is the sum of rounded lines).')
$$;

comment on function _setting_rules() is 'Every setting: its name, its default, the kind of its values, and what it does.';

create or replace function _setting_value(name text)
returns text
language sql
stable
set search_path from current
as $$
    select coalesce((select s.value from settings s where s.name = _setting_value.name),
                    (select r.default_value from _setting_rules() r where r.name = _setting_value.name))
$$;

comment on function _setting_value(text) is 'The value of a setting, or its default.';

create or replace function _check_setting(name text, value text)
returns void
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_kind text := (select r.kind from _setting_rules() r where r.name = _check_setting.name);
begin
    perform _check_word('name', _check_setting.name, (select array_agg(r.name order by r.name) from _setting_rules() r));
    if _check_setting.value is not null and v_kind = 'duration' and _parse_duration(_check_setting.value) is null then
        raise exception using
            errcode = '22023', message = 'the value is not a duration', column = 'value',
            detail = format('setting %s, value %s.', _check_setting.name, quote_literal(left(_check_setting.value, 80))),
            hint = 'Use a duration such as 90 days, 12 hours or 1 year.';
    elsif _check_setting.value is not null and v_kind = 'boolean' then
        perform _check_word('value', _check_setting.value, '{false,true}');
    elsif _check_setting.value is not null and v_kind = 'decision' then
        perform _check_word('value', _check_setting.value, '{ask,bill,waive}');
    elsif _check_setting.value is not null and v_kind = 'rounding' then
        perform _check_word('value', _check_setting.value, '{line,total}');
    elsif _check_setting.value is not null and v_kind = 'currency' then
        perform _currency_decimals(_check_setting.value);
    end if;
end
$$;

comment on function _check_setting(text, text) is 'Raises 22004 or 22023 for an unknown setting, or a value that it cannot have.';

create or replace function _check_settings()
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if _parse_duration(_setting_value('reservation_ttl')) > _parse_duration(_setting_value('reservation_ttl_max')) then
        raise exception using
            errcode = '22023', message = 'reservation_ttl would be longer than reservation_ttl_max', column = 'value',
            detail = format('reservation_ttl %s, reservation_ttl_max %s.', _setting_value('reservation_ttl'), _setting_value('reservation_ttl_max')),
            hint = 'Change the other setting first.';
    end if;
end
$$;

comment on function _check_settings() is 'Raises 22023 if settings contradict each other.';

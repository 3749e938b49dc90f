-- Days, weeks, months and years begin at local midnight, so windows tile in every zone. Two cases are special:
-- * If clocks are set back across midnight, local midnight occurs twice and PostgreSQL picks the later one. An instant between the
--   two belongs to the previous bucket.
-- * Hours and minutes are counted from the start of the local day. If clocks change by half an hour (Lord Howe Island), buckets that
--   begin at full local hours would overlap. In every other zone the result is the same.
create or replace function _calendar_start(unit text, at timestamptz, timezone text)
returns timestamptz
language plpgsql
stable parallel safe
set search_path from current
as $$
declare
    v_start timestamptz;
begin
    if timezone = 'UTC' then
        return _bucket_start(unit, at);
    end if;
    if unit in ('minute', 'hour') then
        v_start := _calendar_start('day', at, timezone);
        return v_start + case unit
            when 'hour' then make_interval(hours => floor(extract(epoch from at - v_start) / 3600)::int)
            else make_interval(mins => floor(extract(epoch from at - v_start) / 60)::int)
        end;
    end if;
    v_start := date_trunc(unit, at at time zone timezone) at time zone timezone;
    if v_start > at then
        v_start := (date_trunc(unit, at at time zone timezone) - ('1 ' || unit)::interval) at time zone timezone;
    end if;
    return v_start;
end
$$;

comment on function _calendar_start(text, timestamptz, text) is
    'Returns the start of the calendar bucket (minute, hour, day, week, month, year) that contains an instant, in a time zone.';

create or replace function _calendar_end(unit text, bucket_start timestamptz, timezone text)
returns timestamptz
language plpgsql
stable parallel safe
set search_path from current
as $$
begin
    if timezone = 'UTC' then
        return _bucket_end(unit, bucket_start);
    end if;
    if unit in ('minute', 'hour') then
        return least(
            bucket_start + case unit when 'hour' then interval '1 hour' else interval '1 minute' end,
            _calendar_end('day', _calendar_start('day', bucket_start, timezone), timezone));
    end if;
    -- date_trunc() first: if clocks skip midnight, the day starts at one o'clock, but the next day starts at midnight.
    return (date_trunc(unit, bucket_start at time zone timezone) + ('1 ' || unit)::interval) at time zone timezone;
end
$$;

comment on function _calendar_end(text, timestamptz, text) is
    'Returns the end of the calendar bucket that starts at bucket_start, in a time zone. It is the start of the next bucket.';

-- AT TIME ZONE accepts more than region names: abbreviations, whose meaning depends on the session; POSIX specifications such as +05:30
-- or EST5EDT, where + means west of Greenwich; localtime, which is the server's zone; right/, whose clock counts leap seconds. The pattern
-- below matches none of them: an abbreviation has no slash, and a POSIX specification has digits.
-- Since PostgreSQL 18, the abbreviations of the session's zone take precedence, and SET timezone = 'UTC+3' redefines UTC. Therefore every
-- function of pymeter uses AT TIME ZONE INTERVAL '0' instead of 'UTC', and a name that the session has redefined is refused.
create or replace function _check_timezone(timezone text)
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_name constant text := '^(?:utc|(?!posix/|right/)[a-z]+(?:/[a-z][a-z_-]*)+'
        '|etc/gmt(?:[+-]?0|[+](?:[1-9]|1[0-2])|-(?:[1-9]|1[0-4]))'
        '|cuba|egypt|eire|gb|gb-eire|greenwich|hongkong|iceland|iran|israel|jamaica|japan|kwajalein|libya|navajo|nz|nz-chat'
        '|poland|portugal|prc|roc|rok|singapore|turkey|universal|w-su)$';
begin
    if timezone = 'UTC' then
        return;
    elsif timezone is null then
        raise exception using errcode = '22004', message = 'timezone is null', column = 'timezone',
            hint = 'Name a time zone such as UTC or America/New_York.';
    end if;
    -- A block of its own: catching exceptions costs a subtransaction, which is avoided for UTC.
    begin
        if lower(timezone collate "C") !~ v_name
            or (lower(current_setting('timezone') collate "C") !~ v_name
                and strpos(upper(current_setting('timezone') collate "C"), upper(timezone collate "C")) > 0) then
            raise invalid_parameter_value;
        end if;
        perform now() at time zone timezone;
    exception when invalid_parameter_value then
        raise exception using errcode = '22023', message = 'unknown time zone', column = 'timezone',
            detail = format('timezone %s.', quote_literal(left(timezone, 80))),
            hint = 'Use UTC or an IANA time zone such as America/New_York or Etc/GMT+3. Abbreviations and offsets are not accepted.';
    end;
end
$$;

comment on function _check_timezone(text) is
    'Raises 22004 for a null time zone, 22023 for anything but UTC and region names: abbreviations, offsets, POSIX specifications, '
    'localtime, posix/ and right/ are refused.';

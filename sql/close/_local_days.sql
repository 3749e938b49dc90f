-- The clock on the wall goes back when daylight saving time ends, so it cannot measure parts of a day. A day of the calendar counts as a day, however
-- long it is, and a part of it by its share of that day: so time never runs backwards, and parts sum to the whole.
create or replace function _local_seconds(timezone text, since timestamptz, until timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    if timezone = 'UTC' then
        return trim_scale(extract(epoch from until) - extract(epoch from since));
    end if;
    return trim_scale(_local_position(timezone, until) - _local_position(timezone, since));
end
$$;

comment on function _local_seconds(text, timestamptz, timestamptz) is
    'How long a time is, in seconds of which each day of the time zone has 86400: exact where days have 24 hours, else a difference of two positions '
    'that are rounded to 20 decimals.';

-- A midnight that comes twice is the second one, and one that is left out is the instant at which it is: so PostgreSQL reads them. Where a day's last
-- minutes come after its midnight (clocks go back from 00:01), they, and the first of these midnights, are the day's before. A date that a zone has
-- left out counts as a day at one instant.
create or replace function _local_position(timezone text, at timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_midnight timestamp := date_trunc('day', at at time zone timezone);
    v_start    timestamptz := v_midnight at time zone timezone;
    v_seconds  numeric;
    v_length   numeric;
begin
    if v_start > at then
        v_midnight := v_midnight - interval '1 day';
        v_start := v_midnight at time zone timezone;
    end if;
    if v_start < at then
        v_seconds := extract(epoch from at - v_start);
        v_length := extract(epoch from (v_midnight + interval '1 day') at time zone timezone - v_start);
        if v_length <> 86400 then
            v_seconds := round((v_seconds * 86400 + 0e-60) / v_length, 20);
        end if;
    end if;
    return extract(epoch from v_midnight) + coalesce(v_seconds, 0);
end
$$;

comment on function _local_position(text, timestamptz) is
    'An instant as seconds since 1970-01-01, of which each day of the time zone has 86400; within a day in proportion to its length.';

-- A cast would raise, and would read a time without an offset in the session's zone. So the form is checked first, down to the
-- number of days in the month; after that the cast cannot fail.
-- A cast would also round a time that is finer than a microsecond, perhaps into the next month. So what is finer is cut off. A second of
-- 60 is a leap second (RFC 3339, section 5.6): the same instant as the second after it, as everywhere in PostgreSQL.
-- No backslashes in patterns, here and elsewhere: their meaning depends on the session's standard_conforming_strings; and "digit"
-- classes take digits of every script, which casts do not. Groups capture nothing, and the year 0 has a test of its own: a look-ahead
-- and captures make the match cost more than twice as much. Inlined: no SET, nothing outside pg_catalog.
-- What programs write nearly always, a UTC time on one of the first 28 days of a month, is told by its shape, at a quarter of the
-- match's cost: a batch is mostly that.
create or replace function _parse_time(value text)
returns timestamptz
language sql
stable parallel safe
as $$
    select case
        when translate(replace(value, '+00:00', 'Z'), '123456789', '000000000')
                in ('0000-00-00T00:00:00Z', '0000-00-00T00:00:00.000Z', '0000-00-00T00:00:00.000000Z')
            and value > '0001' collate "C"
            and substr(value, 6, 2) between '01' and '12' collate "C" and substr(value, 9, 2) between '01' and '28' collate "C"
            and substr(value, 12, 2) < '24' collate "C" and substr(value, 15, 2) < '60' collate "C" and substr(value, 18, 2) < '60' collate "C"
            then value::timestamptz
        when value ~ ('^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]'
                '(?::(?:[0-5][0-9](?:[.,][0-9]+)?|60(?:[.,]0+)?))? ?(?:[Zz]|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)$')
            and value not like '0000%' then case
                when substr(value, 9, 2)::int <= 28 or substr(value, 9, 2)::int <= extract(day from
                    make_date(substr(value, 1, 4)::int, substr(value, 6, 2)::int, 1) + interval '1 month' - interval '1 day')
                    then (case
                        when substr(value, 20, 1) in ('.', ',') then
                            substr(value, 1, 19) || '.' || substring(substr(value, 21) from '^[0-9]{1,6}')
                                || ltrim(substr(value, 21), '0123456789')
                        else value
                    end)::timestamptz
            end
        when lower(value collate "C") in ('infinity', '-infinity') then value::timestamptz
    end
$$;

comment on function _parse_time(text) is
    'The instant that an ISO 8601 text with a UTC offset stands for, cut off (never rounded) after six digits of a second; infinity and '
    '-infinity as such; null for any other text.';

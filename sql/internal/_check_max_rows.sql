create or replace function _check_max_rows(max_rows integer)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if max_rows is null then
        raise exception using errcode = '22004', message = 'max_rows is null', column = 'max_rows',
            hint = 'Give a number from 1 to 10000.';
    elsif max_rows not between 1 and 10000 then
        raise exception using errcode = '22023', message = 'max_rows is out of range', column = 'max_rows',
            detail = format('max_rows %s.', max_rows), hint = 'Give a number from 1 to 10000, and page through what is more.';
    end if;
end
$$;

comment on function _check_max_rows(integer) is 'Refuses a null (22004) or absurd (22023) number of rows.';

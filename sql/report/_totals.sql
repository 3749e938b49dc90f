create or replace function _check_total(total numeric)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if total is null then
        raise exception using errcode = '22004', message = 'total is null', column = 'total', hint = 'Pass 0 for a range without usage.';
    elsif total in ('NaN', 'Infinity', '-Infinity') then
        raise exception using errcode = '22023', message = 'total is not finite', column = 'total', hint = 'Pass the biller''s total unchanged.';
    end if;
end
$$;

comment on function _check_total(numeric) is 'Refuses a total that is null (22004) or not finite (22023).';

create or replace function _check_step(step text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if step is null or step not in ('hour', 'day') then
        raise exception using
            errcode = case when step is null then '22004' else '22023' end, message = 'unknown step', column = 'step',
            detail = format('step %s.', coalesce(quote_literal(left(step, 80)), 'null')), hint = 'Use hour or day.';
    end if;
end
$$;

comment on function _check_step(text) is 'Refuses a null (22004) or unknown (22023) step of a reconciliation.';

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

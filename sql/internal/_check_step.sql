create or replace function _check_step(step text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if step is null or step not in ('hour', 'day') then
        raise exception using
            errcode = case when step is null then '22004' else '22023' end, message = 'step is not a known word', column = 'step',
            detail = format('step %s.', quote_nullable(left(step, 80))), hint = 'Use hour or day.';
    end if;
end
$$;

comment on function _check_step(text) is 'Refuses a null (22004) or unknown (22023) step of a reconciliation.';

create or replace function _check_plan(plan text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_name('plan', _check_plan.plan, 100);
    if not exists (select from plans p where p.plan = _check_plan.plan) then
        raise exception using
            errcode = 'UM007', message = 'no such plan', column = 'plan', detail = format('plan %s.', quote_literal(_check_plan.plan)),
            hint = 'Define it with define_plan(); plans() lists them.';
    end if;
end
$$;

comment on function _check_plan(text) is 'Raises 22004 or 22023 for a bad name of a plan, UM007 if there is no such plan.';

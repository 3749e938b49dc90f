create or replace function define_plan(plan text, name text default null)
returns plans
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_before plans;
    v_plan   plans;
begin
    if _is_open('define_plan') then perform _check_caller('define_plan'); end if;
    perform _check_name('plan', define_plan.plan, 100);
    if define_plan.name is not null and define_plan.name <> '' then
        perform _check_name('name', define_plan.name, 512);
    end if;
    select * into v_before from plans p where p.plan = define_plan.plan;
    insert into plans as p (plan, name) values (define_plan.plan, nullif(define_plan.name, ''))
    on conflict (plan) do update set name = nullif(coalesce(define_plan.name, p.name), '')
    returning * into v_plan;
    perform _log_change('define_plan', define_plan.plan, to_jsonb(v_before), to_jsonb(v_plan));
    return v_plan;
end
$$;

comment on function define_plan(text, text) is
    'Defines a plan that subjects can subscribe to, or changes its name, and returns it. A null name keeps what is stored, an empty one removes '
    'it. Limits of a plan: set_limit(plan => ...). Raises 22004 or 22023 for a bad value. Example: BEGIN; SELECT plan, name FROM '
    'meter.define_plan(''pro'', ''Pro''); ROLLBACK;';

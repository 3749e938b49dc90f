create or replace function budgets(
    subject text default null, plan text default null, at timestamptz default null, max_rows integer default 1000, after_id bigint default null
)
returns setof budgets
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at timestamptz := coalesce(budgets.at, clock_timestamp());
begin
    if _is_open('budgets') then perform _check_caller('budgets'); end if;
    perform _check_time('at', budgets.at), _check_max_rows(budgets.max_rows), _check_here(budgets.subject);
    if budgets.plan is not null then
        perform _check_plan(budgets.plan);
    end if;
    return query
        select c.*
        from (
            select distinct on (b.subject, b.plan, b.currency, b.period) b.*
            from budgets b
            where (budgets.subject is null or b.subject = budgets.subject) and (budgets.plan is null or b.plan = budgets.plan) and b.since <= v_at
              and (b.subject is null or ((select _all_here()) or _is_here(b.subject)))
            order by b.subject, b.plan, b.currency, b.period, b.since desc, b.budget_id desc
        ) c
        where not c.removed and (budgets.after_id is null or c.budget_id > budgets.after_id)
        order by c.budget_id
        limit budgets.max_rows;
end
$$;

comment on function budgets(text, text, timestamptz, integer, bigint) is
    'Returns the budgets that hold now, or at a time, in the order in which they were set: of a subject or a plan, if one is given. '
    'budget_status() tells which of them count for a subject. Keyset paging: pass the last budget_id as after_id. Raises UM007 for an unknown '
    'plan, 22004 or 22023 for a bad value, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT amount FROM '
    'meter.set_budget(100, ''EUR''); SELECT subject, plan, amount, '
    'currency, period, action FROM meter.budgets(); ROLLBACK;';

create or replace function plan_minimums(
    plan text default null,
    at timestamptz default now(),
    upcoming boolean default false
)
returns setof plan_minimum
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('plan_minimums') then perform _check_caller('plan_minimums'); end if;
    perform _check_time('at', plan_minimums.at, required => true);
    if plan_minimums.plan is not null then
        perform _check_plan(plan_minimums.plan);
    end if;
    return query
    select p.plan, h.amount, p.currency, nullif(h.since, '-infinity'), h.recorded_at, h.recorded_by
    from plans p
    cross join lateral (
        select plan_minimums.at as at
        union
        select n.since from plan_minimums n where plan_minimums.upcoming and n.plan = p.plan and n.since > plan_minimums.at
    ) t
    cross join lateral _minimum_at(p.plan, t.at, 'infinity') h
    where (plan_minimums.plan is null or p.plan = plan_minimums.plan) and h.minimum_id is not null
      and (h.amount is not null or t.at > plan_minimums.at)
    order by p.plan, t.at;
end
$$;

comment on function plan_minimums(text, timestamptz, boolean) is
    'Returns what a cycle of each plan costs at least at a time, as set_plan_minimum() has set it, ordered by plan; nothing for a plan without a '
    'minimum. plan null: of all plans. upcoming: also the minimums that begin after it, by time; amount null: none from then on. Raises UM007 for '
    'an unknown plan, 22004 or 22023 for a bad value. Example: SELECT plan, amount, currency, since FROM meter.plan_minimums();';

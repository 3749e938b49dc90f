create or replace function compare_plans(
    plan_a text,
    plan_b text,
    since timestamptz,
    until timestamptz,
    subjects text[] default null
)
returns setof plan_comparison
language plpgsql
stable
security definer
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_names text[];
begin
    if _is_open('compare_plans') then perform _check_caller('compare_plans'); end if;
    perform _check_plan(compare_plans.plan_a), _check_plan(compare_plans.plan_b),
        _check_time('since', compare_plans.since, required => true), _check_time('until', compare_plans.until, required => true),
        resolve_window(since => compare_plans.since, until => compare_plans.until);
    perform _check_name('subjects', u.subject), _check_here(u.subject) from unnest(compare_plans.subjects) u (subject);
    v_names := _compared_subjects(array[compare_plans.plan_a, compare_plans.plan_b], compare_plans.since, compare_plans.until,
                                  compare_plans.subjects);
    return query
    with costs as materialized (
        select a.subject, a.currency as currency_a, a.amount as amount_a, b.currency as currency_b, b.amount as amount_b,
               case when a.currency <> b.currency then null else b.amount - a.amount end as difference
        from _plan_costs(compare_plans.plan_a, compare_plans.since, compare_plans.until, v_names) a
        join _plan_costs(compare_plans.plan_b, compare_plans.since, compare_plans.until, v_names) b on b.subject = a.subject
    )
    select c.subject, c.currency_a, c.amount_a, c.currency_b, c.amount_b, c.difference, (c.difference > 0)::integer::bigint,
           (c.difference < 0)::integer::bigint, (c.difference = 0)::integer::bigint
    from costs c
    union all
    select null, min(c.currency_a), case when count(*) = count(c.amount_a) then coalesce(sum(c.amount_a), 0) end, min(c.currency_b),
           case when count(*) = count(c.amount_b) then coalesce(sum(c.amount_b), 0) end,
           case when count(*) = count(c.difference) then coalesce(sum(c.difference), 0) end, count(*) filter (where c.difference > 0),
           count(*) filter (where c.difference < 0), count(*) filter (where c.difference = 0)
    from costs c
    order by 1 nulls last;
    perform _check_snapshot();
end
$$;

comment on function compare_plans(text, text, timestamptz, timestamptz, text[]) is
    'Returns what the usage of [since, until) costs each subject under two plans, as if it had had the one or the other, and no other plan, all '
    'the time; at the end, with the subject null, the sum of all. An amount is the sum of the lines that invoice() would have for the window: '
    'without fees of the cycle after it, late usage, credits and taxes. subjects null: all who used a metric that one of the plans has a price '
    'for, or had one of them. Raises UM007 for an unknown plan, 22004 or 22023 for a bad value, UM006 and 40001 as usage() does, UM008 for a '
    'subject that is on another shard or being moved. Example: BEGIN; '
    'SELECT count(meter.define_plan(p)) FROM unnest(''{free,pro}''::text[]) p; SELECT subject, amount_a, amount_b, difference FROM '
    'meter.compare_plans(''free'', ''pro'', ''2026-06-01'', ''2026-07-01''); ROLLBACK;';

-- The same slices as in _usage_lines(), by subject instead of line by line.
create or replace function _common_costs(basis invoice_basis, subjects text[], are_few boolean default false)
returns table (subject text, amount numeric)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with segments as materialized (
        select n, s.plan, s.item, s.metric, s.since, s.until, _compile_price(s.price) as price,
               sum(case when n = 1 or _starts_anew(basis.segments[n - 1], basis.segments[n]) then 1 else 0 end) over (order by n) as period,
               lead(s.item) over (order by n) is distinct from s.item as is_last
        from unnest(basis.segments) with ordinality s (plan, item, subscribed_at, since, until, price_version, metric, name, price, currency, bill,
            prorate, tiers_after_change, n)
        where s.item is not null
    ), usage as materialized (
        select u.*
        from (select distinct s.metric, s.since, s.until from segments s) w
        join metrics m on m.key = w.metric
        cross join lateral _all_usage(m, w.since, w.until) u
        where not _common_costs.are_few
        union all
        select u.*
        from (select distinct s.metric, s.since, s.until from segments s) w
        join metrics m on m.key = w.metric
        cross join lateral _usage_of_few(m, _common_costs.subjects, w.since, w.until) u
        where _common_costs.are_few
    ), slices as (
        select u.subject, s.*, coalesce(g.quantity, 0) as quantity, coalesce(g.event_count, 0) as event_count
        from segments s
        cross join unnest(subjects) u (subject)
        left join usage g on g.subject = u.subject and (g.metric, g.since, g.until) = (s.metric, s.since, s.until)
    ), counted as (
        select s.*, coalesce(sum(s.quantity) over p, 0) as billed, coalesce(sum(s.event_count) over p, 0) as billed_events,
               coalesce(bool_or(s.period_quantity > 0) over i, false) as is_used
        from (
            select s.*, sum(s.quantity) over (partition by s.subject, s.item, s.period order by s.n) as period_quantity from slices s
        ) s
        window p as (partition by s.subject, s.item, s.period order by s.n rows between unbounded preceding and 1 preceding),
               i as (partition by s.subject, s.item order by s.n rows between unbounded preceding and 1 preceding)
    )
    select c.subject, coalesce(sum(_price_amount(
               c.price, greatest(c.billed + c.quantity, 0) - greatest(c.billed, 0), greatest(c.billed, 0),
               c.is_last and (c.billed > 0 or not c.is_used),
               greatest(c.billed_events + c.event_count, 0) - greatest(c.billed_events, 0), greatest(c.billed_events, 0))), 0)
    from counted c
    group by 1
    union all
    select u.subject, 0 from unnest(subjects) u (subject) where not exists (select from segments);
end
$$;

comment on function _common_costs(invoice_basis, text[], boolean) is
    'What usage costs each of the subjects by the prices of a plan, not rounded, without fees. are_few: their usage is asked for one by one, else '
    'that of all subjects is read. Raises UM006 and 40001 as totals() does.';

create or replace function _usage_of_few(metric metrics, subjects text[], since timestamptz, until timestamptz)
returns setof window_usage
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan  -- the caller's is another
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select u.subject, (_usage_of_few.metric).key, _usage_of_few.since, _usage_of_few.until, g.event_count, g.quantity
    from unnest(_usage_of_few.subjects) u (subject)
    cross join lateral _measured_usage(_usage_of_few.metric, u.subject, _usage_of_few.since, _usage_of_few.until, null) g;
end
$$;

comment on function _usage_of_few(metrics, text[], timestamptz, timestamptz) is
    'The usage of a metric by each of the subjects. Raises UM006 and 40001 as usage() does.';

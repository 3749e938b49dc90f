create or replace function prices(
    plan text default null,
    at timestamptz default now(),
    subject text default null,
    upcoming boolean default false
)
returns setof plan_price
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('prices') then perform _check_caller('prices'); end if;
    perform _check_time('at', prices.at, required => true), _check_scope(prices.subject, null);
    if prices.plan is not null then
        perform _check_plan(prices.plan);
    end if;
    return query
    select v.*
    from plans p
    cross join lateral (
        select distinct i.item
        from plan_prices i
        where i.plan = p.plan and (i.subject is null or i.subject = prices.subject)
        offset 0
    ) i
    cross join lateral (
        select prices.at as at
        union
        select n.since
        from plan_prices n
        where prices.upcoming and n.plan = p.plan and n.item = i.item and n.since > prices.at
          and (n.subject is null or n.subject = prices.subject)
    ) t
    cross join lateral _held_price(p.plan, i.item, prices.subject, t.at, 'infinity') h
    cross join lateral _as_plan_price(h) v
    where (prices.plan is null or p.plan = prices.plan) and h.price_id is not null
      and case when t.at = prices.at then h.price is not null else h.since = t.at end
    order by p.plan, i.item, t.at;
end
$$;

comment on function prices(text, timestamptz, text, boolean) is
    'Returns the lines of plans that hold at a time, ordered by plan and item. plan null: of all plans. subject: with this subject''s own lines '
    'instead of those that they replace. upcoming: also the versions that begin after it, by time; one that ends the line has the price null. '
    'plan_minimums() has what a plan costs at least. Raises UM007 for an unknown plan, 22004 or 22023 for a bad value, UM008 for a subject that is '
    'on another shard or being moved. '
    'Example: SELECT plan, item, metric, price FROM meter.prices();';

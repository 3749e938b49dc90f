create or replace function _notice_same_metric(version plan_prices)
returns void
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_items text;
begin
    select string_agg(quote_literal(h.item), ', ' order by h.item) into v_items
    from (
        select distinct i.item
        from plan_prices i
        where i.plan = version.plan and i.item <> version.item and (i.subject is null or i.subject = version.subject)
    ) i
    cross join lateral _held_price(version.plan, i.item, version.subject, version.since, 'infinity') h
    where h.metric = version.metric and h.price is not null;
    if v_items is not null then
        raise notice using
            message = format('metric %s is billed by other items of the plan, too', quote_literal(version.metric)),
            detail = format('item %s.', v_items),
            hint = 'If one replaces the other, end that with retire_price(), or define the price under its item.';
    end if;
end
$$;

comment on function _notice_same_metric(plan_prices) is
    'A NOTICE if other items of the plan have a price for the metric when a version begins: each is billed for the whole usage.';

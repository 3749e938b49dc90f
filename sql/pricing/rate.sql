create or replace function rate(
    price jsonb,
    quantity numeric,
    billed numeric default 0,
    final boolean default true,
    event_count numeric default null,
    dimensions jsonb default null,
    billed_events numeric default 0
)
returns setof rated_line
language plpgsql
immutable parallel safe
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price compiled_price;
    v_line  rated_line;
begin
    if _is_open('rate') then perform _check_caller('rate'); end if;
    if price is null or quantity is null or billed is null or final is null or billed_events is null then
        raise exception using errcode = '22004', message = 'an argument of rate() is null',
            column = case when price is null then 'price' when quantity is null then 'quantity' when billed is null then 'billed'
                          when final is null then 'final' else 'billed_events' end,
            hint = 'Pass a price and a quantity. Leave out billed, final and billed_events for the whole of a period.';
    elsif not (quantity > -1e1000 and quantity < 1e1000 and scale(quantity) <= 1000 and billed >= 0 and billed < 1e1000 and scale(billed) <= 1000
               and billed + quantity >= 0) then
        raise exception using errcode = '22023', message = 'billed or billed + quantity is negative, not finite or too large',
            column = 'quantity', detail = format('billed %s, quantity %s.', left(billed::text, 80), left(quantity::text, 80)),
            hint = 'A negative quantity takes back at most what was billed. Pass numbers below 1e1000.';
    elsif not (billed_events between 0 and 1e18 and coalesce(event_count between -1e18 and 1e18 and billed_events + event_count >= 0
                   and event_count = trunc(event_count), true) and billed_events = trunc(billed_events)) then
        raise exception using errcode = '22023', message = 'billed_events or billed_events + event_count is not a number of events',
            column = 'event_count', detail = format('billed_events %s, event_count %s.', left(billed_events::text, 80), left(event_count::text, 80)),
            hint = 'Pass whole numbers. A negative event_count takes back at most what was billed.';
    end if;
    v_price := _compile_price(price);
    foreach v_line in array case
        when v_price.model = 'matrix' then _rate_matrix(v_price, quantity, billed, final, event_count, dimensions, billed_events)
        else _rate_one(v_price, quantity, billed, final, event_count, billed_events) end
    loop
        return next v_line;
    end loop;
end
$$;

comment on function rate(jsonb, numeric, numeric, boolean, numeric, jsonb, numeric) is
    'Returns what a quantity costs, line by line; the sum of amount is the price, exact and not rounded. price: a JSON object, see '
    'sql/pricing/README.md. It reads no table. quantity: of the whole period, or of a slice of it; it may be negative. billed: the quantity of '
    'the same period that was rated before: the lines are the difference, so the slices of a period sum to the whole. What is due without usage, '
    'such as minimum_amount, is due if final is true and billed + quantity is 0: pass final => false for a slice that others follow. event_count: '
    'the number of events of the quantity, for model percentage; billed_events: of billed. dimensions, for model matrix: the combination of the '
    'quantity, as {"model": "large"}, or all combinations that it consists of, as [{"when": {"model": "large"}, "quantity": 5}], each also with '
    'billed, event_count and billed_events. A combination without a cell has a line whose amount is null: then the price is unknown. Raises 22004 '
    'for a null argument, and for a null event_count if each event costs something; 22023 for an invalid price, with the JSON path in DETAIL, and '
    'for any other invalid argument. Example: SELECT tier, quantity, unit_amount, amount, explanation FROM meter.rate(''{"model": "graduated", '
    '"tiers": [{"up_to": 1000, "unit_amount": "0.01"}, {"up_to": null, "unit_amount": "0.002"}]}'', 5000);';

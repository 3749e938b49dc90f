create or replace function _check_price(price jsonb)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
begin
    if price is null then
        raise exception using errcode = '22004', message = 'price is null', column = 'price',
            hint = 'Pass a JSON object, such as {"model": "unit", "unit_amount": "0.002"}.';
    end if;
    perform _compile_price(price);
end
$$;

comment on function _check_price(jsonb) is
    'Raises 22004 for a null and 22023 for an invalid price, with the JSON path of the first field that is wrong in DETAIL.';

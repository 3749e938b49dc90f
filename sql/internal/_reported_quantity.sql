-- Inlined: no SET, nothing outside pg_catalog. A quotient may have no end, so an average is rounded to the digits that the biller takes:
-- half away from zero, as round() does.
create or replace function _reported_quantity(aggregate text, mode text, quantity numeric, max_digits integer)
returns numeric
language sql
immutable parallel safe
as $$
    select case
        when aggregate = 'avg' and quantity <> 0 then
            trim_scale(round(quantity, greatest(0, max_digits - 1 - floor(log(abs(quantity)))::integer)))
        when mode = 'last' or aggregate in ('sum', 'count') then quantity
        else greatest(quantity, 0)
    end
$$;

comment on function _reported_quantity(text, text, numeric, integer) is
    'The quantity of a bucket as a biller is told it: an avg rounded to max_digits significant digits, half away from zero; a maximum or '
    'unique that is reported in deltas at least 0, since no total can be below 0.';

-- depends: 0014-closing
-- What rate() returns, and what it works on.

create type rated_line as (
    tier integer, quantity numeric, unit_amount numeric, flat_amount numeric, amount numeric, explanation text);
comment on type rated_line is
    'One line of what a quantity costs. tier: the tier of the price, from 1 (1 for a model without tiers); null for a discount, a maximum or a '
    'minimum, which have an amount only. amount = quantity * unit_amount + flat_amount, exact and not rounded, in the currency of the price; null: '
    'the price says nothing about this quantity. explanation: the same for people.';

create type compiled_price as (
    model text, upper_bounds numeric[], unit_amounts numeric[], flat_amounts numeric[], intercepts numeric[],
    zero_amount numeric, package_size numeric, fixed_amount numeric, free_events numeric, divide_by numeric, inverse numeric, rounding text,
    free_units numeric, kept numeric, maximum_amount numeric, minimum_amount numeric, cells jsonb);
comment on type compiled_price is
    'A price that was checked, as the arithmetic reads it. A model without tiers has one. upper_bounds: inclusive, of all tiers but the last. '
    'In tier t, a quantity costs intercepts[t] + quantity * unit_amounts[t]; a quantity of 0 costs zero_amount. inverse: 1 / divide_by, where '
    'that ends. kept: the fraction that a discount leaves. cells: of a matrix, each with the fields when (without the keys that may have any '
    'value) and price.';

create type priced_quantity as (
    converted numeric, units numeric, quantity numeric, tier integer, unit_amount numeric, flat_amount numeric, amount numeric);
comment on type priced_quantity is
    'What a model makes of the whole quantity of a period. converted: after convert; units: without the free ones; quantity: what unit_amount is paid '
    'for (units, or packages of them); tier: of that quantity; amount: before discount, maximum and minimum. flat_amount: what amount has beside '
    'quantity * unit_amount; of a graduated price, that of the tier. All null: nothing was used.';

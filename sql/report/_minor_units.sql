-- Stripe's minor units, of docs.stripe.com/currencies in November 2026. They are not those of ISO 4217: MGA has no decimals there, ISK and UGX have
-- two that are always 00, and the third decimal of a dinar or rial is always 0. A currency that it does not support has two; it refuses that itself.
-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _minor_units(currency text, amount numeric)
returns numeric
language sql
immutable parallel safe
as $$
    select trim_scale(amount * case
        when currency = any ('{BIF,CLP,DJF,GNF,JPY,KMF,KRW,MGA,PYG,RWF,VND,VUV,XAF,XOF,XPF}') then 1
        when currency = any ('{BHD,JOD,KWD,OMR,TND}') then 1000
        else 100 end)
$$;

comment on function _minor_units(text, numeric) is
    'An amount in the minor units that Stripe counts a currency in, exactly: a fraction stays one.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_minor_amount(currency text, minor_units numeric)
returns boolean
language sql
immutable parallel safe
as $$
    select minor_units % case
        when currency = any ('{ISK,UGX}') then 100
        when currency = any ('{BHD,JOD,KWD,OMR,TND}') then 10
        else 1 end = 0
$$;

comment on function _is_minor_amount(text, numeric) is
    'Whether Stripe takes an amount in minor units of a currency: it is a whole number, and divisible by the currency''s least step.';

create or replace function _digits(value numeric)
returns integer
language sql
immutable parallel safe
as $$
    select length(ltrim(replace(trim_scale(abs(value))::text, '.', ''), '0'))
$$;

comment on function _digits(numeric) is 'How many digits a number has, without leading zeros and zeros at the end of a fraction.';

create or replace function _check_scenario_currency(currency text, path text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    perform _currency_decimals(currency);
exception when invalid_parameter_value then
    perform _refuse_scenario(path, 'code', to_jsonb(currency));
end
$$;

comment on function _check_scenario_currency(text, text) is 'Raises 22023 with the path for a text that is no code of a currency.';

create or replace function _check_scenario_money(amount numeric, currency text, path text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if scale(trim_scale(amount)) > _currency_decimals(currency) then
        perform _refuse_scenario(path, 'decimals', to_jsonb(amount));
    end if;
end
$$;

comment on function _check_scenario_money(numeric, text, text) is
    'Raises 22023 with the path for an amount with more decimals than the currency has.';

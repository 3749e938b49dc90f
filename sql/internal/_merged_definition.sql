create or replace function _merged_definition(
    old metrics, key text, aggregate text, unit text, name text, description text, period text, rollup text, striped boolean,
    max_future interval, carry boolean
)
returns metrics
language plpgsql
stable
set search_path from current
as $$
declare
    v_new metrics := old;
begin
    v_new.key := key;
    v_new.aggregate := aggregate;
    v_new.unit := unit;
    v_new.name := nullif(coalesce(name, old.name), '');
    v_new.description := nullif(coalesce(description, old.description), '');
    v_new.period := coalesce(period, old.period, 'month');
    v_new.rollup := coalesce(rollup, old.rollup, 'hour');
    v_new.striped := coalesce(striped, old.striped, false);
    -- What was striped may still have stripes; maintain() finds out when there are none left.
    v_new.may_have_stripes := v_new.striped or coalesce(old.may_have_stripes, false);
    v_new.max_future := coalesce(max_future, old.max_future, interval '1 day');
    v_new.carry := coalesce(carry, old.carry and aggregate = 'last', false);
    v_new.defined_at := coalesce(old.defined_at, now());
    v_new.retired_at := null;
    return v_new;
end
$$;

comment on function _merged_definition(metrics, text, text, text, text, text, text, text, boolean, interval, boolean) is
    'A definition as define_metric() was given it: what is null is as in the old one, or the default where there is none.';

create or replace function set_plan_minimum(plan text, amount numeric, since timestamptz default null)
returns plan_minimum
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_recorded_at timestamptz;
    v_currency    text;
    v_since       timestamptz := set_plan_minimum.since;
    v_held        plan_minimums;
    v_new         plan_minimums;
begin
    if _is_open('set_plan_minimum') then perform _check_caller('set_plan_minimum'); end if;
    perform _check_plan(set_plan_minimum.plan), _check_time('since', set_plan_minimum.since);
    if _is_money(set_plan_minimum.amount) is false then
        raise exception using
            errcode = '22023', message = 'amount is negative or has more than 100 digits', column = 'amount',
            detail = format('amount %s.', left(set_plan_minimum.amount::text, 80)), hint = 'Pass an amount from 0, or null for no minimum.';
    end if;
    v_recorded_at := _prices_recorded_at();
    v_currency := _fix_currency(set_plan_minimum.plan, null);
    if v_since is null then
        v_since := _change_since(array(select m.since from plan_minimums m where m.plan = set_plan_minimum.plan));
    end if;
    v_held := _minimum_at(set_plan_minimum.plan, v_since, 'infinity');
    if v_held.amount is not distinct from set_plan_minimum.amount
        and (set_plan_minimum.since is null or v_held.since = v_since) then
        v_new := v_held;
    else
        insert into plan_minimums (since, recorded_at, plan, recorded_by, amount)
        values (v_since, v_recorded_at, set_plan_minimum.plan, _session_role(), set_plan_minimum.amount)
        returning * into v_new;
        perform _log_change('set_plan_minimum', v_new.plan, case when v_held.minimum_id is not null then to_jsonb(v_held) end, to_jsonb(v_new));
    end if;
    return (set_plan_minimum.plan, v_new.amount, v_currency, nullif(v_new.since, '-infinity'), v_new.recorded_at, v_new.recorded_by)::plan_minimum;
end
$$;

comment on function set_plan_minimum(text, numeric, timestamptz) is
    'Sets what a cycle of a plan costs at least, in the plan''s currency, and returns it; a null amount ends it. What is missing is a line of the '
    'invoice (kind true_up). A part of a cycle has its part of the minimum, by days. since null: the first minimum holds from the beginning, a '
    'change from now. A plan without a currency gets that of the setting. Raises UM007 for an unknown plan, 22004 or 22023 for a bad value, 25001 '
    'and 55P03 as define_price() does. Example: BEGIN; SELECT plan FROM meter.define_plan(''pro''); SELECT plan, amount, currency FROM '
    'meter.set_plan_minimum(''pro'', 50); ROLLBACK;';

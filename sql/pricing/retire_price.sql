create or replace function retire_price(plan text, item text, at timestamptz default now(), subject text default null)
returns plan_price
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_recorded_at timestamptz;
    v_held        plan_prices;
    v_end         plan_prices;
begin
    if _is_open('retire_price') then perform _check_caller('retire_price'); end if;
    perform _check_line(retire_price.plan, retire_price.item, retire_price.subject), _check_home(retire_price.subject),
        _check_time('at', retire_price.at, required => true);
    v_recorded_at := _prices_recorded_at();
    v_held := _price_at(retire_price.plan, retire_price.item, retire_price.subject, retire_price.at, 'infinity');
    if v_held.price_id is null then
        raise exception using
            errcode = 'UM007', message = 'no such price', column = 'item',
            detail = format('plan %s, item %s: no price at that time.', quote_literal(retire_price.plan), quote_literal(left(retire_price.item, 80))),
            hint = 'prices() lists the lines of a plan.';
    elsif v_held.price is null then
        return _as_plan_price(v_held);
    end if;
    v_end := v_held;
    v_end.recorded_at := v_recorded_at;
    v_end.price_id := nextval('price_ids');
    v_end.since := retire_price.at;
    v_end.price := null;
    v_end.recorded_by := _session_role();
    insert into plan_prices values (v_end.*);
    perform _log_change('retire_price', v_end.plan, to_jsonb(_as_plan_price(v_held)), to_jsonb(_as_plan_price(v_end)));
    return _as_plan_price(v_end);
end
$$;

comment on function retire_price(text, text, timestamptz, text) is
    'Ends a line of a plan at a time, until it is defined again, and returns the version, whose price is null. subject: ends this subject''s own '
    'line, so that the plan''s holds again. Versions that begin later are kept. A line that has ended already is returned. Raises UM007 for an '
    'unknown plan or line, 22004 or 22023 for a bad value, 25001 and 55P03 as define_price() does, UM008 for a subject that is on another shard or '
    'being moved. Example: BEGIN; SELECT plan FROM '
    'meter.define_plan(''pro''); SELECT item FROM meter.define_price(''pro'', ''base'', ''{"model": "flat", "flat_amount": "20"}''); SELECT item, '
    'price FROM meter.retire_price(''pro'', ''base'', at => ''2026-07-01''); ROLLBACK;';

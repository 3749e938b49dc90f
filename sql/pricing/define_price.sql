create or replace function define_price(
    plan text,
    item text,
    price jsonb,
    metric text default null,
    name text default null,
    since timestamptz default null,
    subject text default null,
    bill text default 'arrears',
    prorate boolean default true,
    tiers_after_change text default 'continue'
)
returns plan_price
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_new  plan_prices;
    v_held plan_prices;
begin
    if _is_open('define_price') then perform _check_caller('define_price'); end if;
    perform _check_line(define_price.plan, define_price.item, define_price.subject), _check_home(define_price.subject),
        _check_priced(define_price.price, define_price.metric), _check_time('since', define_price.since),
        _check_fee_terms(define_price.metric, define_price.bill, define_price.prorate),
        _check_word('tiers_after_change', define_price.tiers_after_change, '{continue,restart}');
    if define_price.name is not null then
        perform _check_name('name', define_price.name, 512);
    end if;
    v_new.recorded_at := _prices_recorded_at();
    v_new.price_id := nextval('price_ids');
    v_new.since := _effective_since(define_price.plan, define_price.item, define_price.subject, define_price.since);
    v_new.prorate := define_price.prorate;
    v_new.plan := define_price.plan;
    v_new.item := define_price.item;
    v_new.subject := define_price.subject;
    v_new.metric := define_price.metric;
    v_new.name := define_price.name;
    v_new.currency := _fix_currency(define_price.plan, define_price.price ->> 'currency');
    v_new.bill := define_price.bill;
    v_new.tiers_after_change := define_price.tiers_after_change;
    v_new.recorded_by := _session_role();
    v_new.price := define_price.price;
    v_held := _price_at(v_new.plan, v_new.item, v_new.subject, v_new.since, 'infinity');
    if _same_version(v_held, v_new) and (define_price.since is null or v_held.since = v_new.since) then
        return _as_plan_price(v_held);
    end if;
    perform _notice_same_metric(v_new);
    insert into plan_prices values (v_new.*);
    perform _log_change('define_price', v_new.plan,
        case when v_held.price_id is not null then to_jsonb(_as_plan_price(v_held)) end, to_jsonb(_as_plan_price(v_new)));
    return _as_plan_price(v_new);
end
$$;

comment on function define_price(text, text, jsonb, text, text, timestamptz, text, text, boolean, text) is
    'Defines a line of a plan, or changes it from a time on, and returns the version. price: see rate(). With a metric, the line is of its usage. '
    'Without, it is a fixed fee of a cycle (model flat, or unit for one unit): bill says whether with the invoice of the cycle before (advance) or '
    'of its own (arrears), prorate whether a part of a cycle costs a part, by days. Other lines of the plan of the same metric are billed, too: a '
    'NOTICE names them. since null: the first version holds from the beginning, a '
    'change from now. subject: a line of this subject only, which replaces the plan''s whole line. tiers_after_change: whether a change within a '
    'cycle lets the tiers go on counting (continue) or not (restart). The plan''s first price fixes its currency: that of the price, or else the '
    'setting currency. Defining what holds already changes nothing. Statements stay as they are. Raises UM007 for an unknown plan, UM001 for an '
    'unknown metric, 22004 or 22023 for a bad value, such as another currency, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if '
    'another session is changing prices, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT plan FROM '
    'meter.define_plan(''pro''); SELECT item, currency FROM '
    'meter.define_price(''pro'', ''tokens'', ''{"model": "unit", "unit_amount": "0.002", "currency": "EUR"}'', metric => ''tokens''); ROLLBACK;';

-- ISO 4217, list one, as SIX published it on 2026-01-01, without the codes that have no minor unit (gold, special drawing rights, tests).
create or replace function _currency_decimals(currency text)
returns integer
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_decimals integer := (
        select l.decimals
        from (values
            (2, 'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC '
                'CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR '
                'KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN '
                'PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS '
                'UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG'),
            (0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'),
            (3, 'BHD IQD JOD KWD LYD OMR TND'),
            (4, 'CLF UYW')) l (decimals, codes)
        where _currency_decimals.currency ~ '^[A-Z]{3}$' and strpos(l.codes, _currency_decimals.currency) > 0);
begin
    if _currency_decimals.currency is null then
        raise exception using errcode = '22004', message = 'currency is null', column = 'currency', hint = 'Pass a code such as EUR.';
    elsif v_decimals is null then
        raise exception using
            errcode = '22023', message = 'unknown currency', column = 'currency',
            detail = format('currency %s.', quote_literal(left(_currency_decimals.currency, 80))),
            hint = 'Use a current code of ISO 4217, in capitals, such as EUR.';
    end if;
    return v_decimals;
end
$$;

comment on function _currency_decimals(text) is
    'How many decimals the amounts of a currency have, by ISO 4217. Raises 22004 for a null, 22023 for an unknown code.';

-- Who subscribes locks the plan's row FOR SHARE. So either this sees the subscription, or who subscribes sees the currency.
create or replace function _fix_currency(plan text, currency text)
returns text
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '2s'
as $$
#variable_conflict use_column
declare
    v_currency text;
    v_clash    record;
begin
    -- A currency that is fixed stays, so only a plan without one is locked: otherwise subscribe() would wait for every change of a price.
    select p.currency into v_currency from plans p where p.plan = _fix_currency.plan;
    if v_currency is null then
        select p.currency into v_currency from plans p where p.plan = _fix_currency.plan for no key update;
    end if;
    perform _currency_decimals(coalesce(_fix_currency.currency, v_currency, _setting_value('currency')));
    if v_currency <> _fix_currency.currency then
        raise exception using
            errcode = '22023', message = 'the plan has another currency', column = 'currency',
            detail = format('plan %s: %s, not %s.', quote_literal(_fix_currency.plan), v_currency, _fix_currency.currency),
            hint = 'A plan has one currency. Define another plan for another one.';
    elsif v_currency is not null then
        return v_currency;
    end if;
    v_currency := coalesce(_fix_currency.currency, _setting_value('currency'));
    select o.* into v_clash
    from subscriptions s
    cross join lateral (
        select o.subject, o.plan, p.currency
        from subscriptions o
        join plans p on p.plan = o.plan
        where o.subject = s.subject and o.plan <> s.plan and p.currency <> v_currency
          and o.since < coalesce(s.until, 'infinity') and coalesce(o.until, 'infinity') > s.since
        limit 1
        offset 0
    ) o
    where s.plan = _fix_currency.plan
    limit 1;
    if v_clash.subject is not null then
        perform _refuse_currencies(v_clash.subject, _fix_currency.plan, v_currency, v_clash.plan, v_clash.currency);
    end if;
    update plans p set currency = v_currency where p.plan = _fix_currency.plan;
    return v_currency;
exception when lock_not_available then
    perform _raise_busy(format('plan %s', quote_literal(_fix_currency.plan)));
end
$$;

comment on function _fix_currency(text, text) is
    'The currency of a plan. If it has none yet, it gets this one, or that of the setting. Raises 22023 for an unknown currency, another than the '
    'plan''s, or one that a subject of the plan does not have in another plan at the same time; 55P03 after 2 seconds.';

create or replace function _check_currencies(subject text, plan text, since timestamptz, until timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '2s'
as $$
#variable_conflict use_column
declare
    v_plan  plans;
    v_other plans;
    v_plans text[] := array(
        select s.plan from subscriptions s
        where s.subject = _check_currencies.subject and s.since < coalesce(_check_currencies.until, 'infinity')
          and coalesce(s.until, 'infinity') > _check_currencies.since) || _check_currencies.plan;
begin
    perform from plans p where p.plan = any (v_plans) and p.currency is null order by p.plan for share;
    select * into v_plan from plans p where p.plan = _check_currencies.plan;
    select * into v_other from plans p where p.plan = any (v_plans) and p.currency <> v_plan.currency order by p.plan limit 1;
    if v_other.plan is not null then
        perform _refuse_currencies(_check_currencies.subject, v_plan.plan, v_plan.currency, v_other.plan, v_other.currency);
    end if;
exception when lock_not_available then
    perform _raise_busy(format('plan %s', quote_literal(_check_currencies.plan)));
end
$$;

comment on function _check_currencies(text, text, timestamptz, timestamptz) is
    'Raises 22023 if a subject has a plan of another currency at the same time; 55P03 if another session gives one of the plans its currency for '
    'more than 2 seconds. Those of the plans that have none yet get none until the transaction ends.';

create or replace function _refuse_currencies(subject text, plan text, currency text, other_plan text, other_currency text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = '22023', message = 'a subject would have plans of two currencies at the same time', column = 'plan',
        detail = format('subject %s: plan %s in %s, plan %s in %s.', quote_literal(left(_refuse_currencies.subject, 80)),
            quote_literal(_refuse_currencies.plan), _refuse_currencies.currency, quote_literal(_refuse_currencies.other_plan),
            _refuse_currencies.other_currency),
        hint = 'There is no exchange rate here. End the other subscription first, or use plans of one currency.';
end
$$;

comment on function _refuse_currencies(text, text, text, text, text) is 'Raises 22023: plans of two currencies overlap.';

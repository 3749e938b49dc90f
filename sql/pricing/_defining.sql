create or replace function _check_line(plan text, item text, subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    perform _check_plan(_check_line.plan), _check_name('item', _check_line.item, 100);
    if _check_line.subject is not null then
        perform _check_name('subject', _check_line.subject, 512);
    end if;
end
$$;

comment on function _check_line(text, text, text) is
    'Raises UM007 for an unknown plan, 22004 or 22023 for a bad plan, item or subject. A null subject means everybody.';

create or replace function _check_priced(price jsonb, metric text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_model  text := _check_priced.price ->> 'model';
    v_metric metrics;
begin
    perform _check_price(_check_priced.price);
    if _check_priced.metric is null then
        if v_model not in ('flat', 'unit') then
            raise exception using
                errcode = '22023', message = 'a fixed fee has the model flat or unit', column = 'price', detail = format('model %s.', v_model),
                hint = 'Pass the metric whose usage the price is of, or use {"model": "flat", "flat_amount": "20"}.';
        end if;
        return;
    end if;
    v_metric := _get_metric(_check_priced.metric);
    if v_model = 'matrix' and v_metric.aggregate not in ('sum', 'count') then
        raise exception using
            errcode = '22023', message = 'a matrix needs a metric of sum or count', column = 'metric',
            detail = format('metric %s: %s.', quote_literal(v_metric.key), v_metric.aggregate),
            hint = 'The parts of other metrics do not add up to the whole. Use another model.';
    end if;
end
$$;

comment on function _check_priced(jsonb, text) is
    'Raises 22004 or 22023 for an invalid price, or one that the metric, or a fixed fee (null), cannot have; UM001 for an unknown metric.';

-- They would be ignored: usage is billed when it was used, and values count by their days anyway.
create or replace function _check_fee_terms(metric text, bill text, prorate boolean)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    perform _check_word('bill', _check_fee_terms.bill, '{advance,arrears}');
    if _check_fee_terms.prorate is null then
        raise exception using errcode = '22004', message = 'prorate is null', column = 'prorate', hint = 'Pass true or false.';
    elsif _check_fee_terms.metric is not null and (_check_fee_terms.bill <> 'arrears' or not _check_fee_terms.prorate) then
        raise exception using
            errcode = '22023', message = 'bill and prorate are terms of fixed fees',
            column = case when _check_fee_terms.bill <> 'arrears' then 'bill' else 'prorate' end,
            detail = format('metric %s.', quote_literal(_check_fee_terms.metric)),
            hint = 'Leave them out, or leave out the metric if the line is a fee.';
    end if;
end
$$;

comment on function _check_fee_terms(text, text, boolean) is
    'Raises 22004 or 22023 for a bad bill or prorate, or for one that says something of a line with a metric, whose usage it would not change.';

create or replace function _effective_since(plan text, item text, subject text, since timestamptz)
returns timestamptz
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return coalesce(_effective_since.since, _change_since(array(
        select p.since
        from plan_prices p
        where p.plan = _effective_since.plan and p.item = _effective_since.item and p.subject is not distinct from _effective_since.subject)));
end
$$;

comment on function _effective_since(text, text, text, timestamptz) is
    'From when a version of a line holds: since, or without it, as _change_since() says.';

create or replace function _change_since(starts timestamptz[])
returns timestamptz
language sql
volatile
set search_path from current
as $$
    select case when count(*) = 0 then '-infinity' else greatest(now(), max(s) filter (where s <= clock_timestamp())) end from unnest(starts) s
$$;

comment on function _change_since(timestamptz[]) is
    'From when a version holds that says nothing of it, beside versions with these starts: the first one from the beginning, a change from now. Now '
    'is the beginning of the transaction, or that of a version which another session has recorded after it.';

create or replace function _same_version(version plan_prices, other plan_prices)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select version.price is not null and (version.metric, version.name, version.price, version.currency, version.bill, version.prorate,
                                          version.tiers_after_change)
        is not distinct from (other.metric, other.name, other.price, other.currency, other.bill, other.prorate, other.tiers_after_change)
$$;

comment on function _same_version(plan_prices, plan_prices) is 'Whether two versions of a line, which has not ended, say the same.';

create or replace function _minimum_at(plan text, at timestamptz, known_at timestamptz)
returns plan_minimums
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
declare
    v_minimum plan_minimums;
begin
    select * into v_minimum
    from plan_minimums m
    where m.plan = _minimum_at.plan and m.since <= _minimum_at.at and m.recorded_at <= _minimum_at.known_at
    order by m.since desc, m.minimum_id desc
    limit 1;
    return v_minimum;
end
$$;

comment on function _minimum_at(text, timestamptz, timestamptz) is
    'The version of a plan''s minimum that holds at an instant, as of a time; all is null if there is none.';

create or replace function _prepare_hold(
    ordinal bigint, subject text, metric text, quantity numeric, idempotency_key text, minimum numeric, ttl interval, metadata jsonb,
    reservation_id bigint default null
)
returns hold_request
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics;
    v_rule   record;
begin
    select * into v_metric from metrics m where m.key = _prepare_hold.metric;
    if (v_metric.aggregate in ('sum', 'count') and quantity is not null and minimum is null and _is_plain_event(
            v_metric.aggregate, v_metric.retired_at, subject, metric, quantity, null, idempotency_key, now(), metadata)) is not true then
        select r.* into v_rule
        from (
            select v_metric.aggregate not in ('sum', 'count'), 'UM002', 'metric', 'only a sum or count can be reserved',
                'Reserve a metric with the aggregate sum or count.'
            union all
            select r.is_broken, r.sqlstate, r.parameter, r.message, r.hint
            from _event_rules(null, v_metric.aggregate, v_metric.retired_at, v_metric.max_future, subject, metric, quantity, null,
                              idempotency_key, now(), metadata) r
            union all values
                (quantity is null, '22004', 'quantity', 'quantity is null', 'Pass how much to hold, in the metric''s unit.'),
                (not (minimum > 0 and minimum <= quantity), '22023', 'minimum', 'minimum is not positive, or more than quantity',
                    'Pass the least that is of use, or null for all of quantity.')
        ) r (is_broken, sqlstate, parameter, message, hint)
        where r.is_broken
        limit 1;
        if found then
            raise exception using
                errcode = v_rule.sqlstate, message = v_rule.message, hint = v_rule.hint, column = v_rule.parameter,
                detail = coalesce('Request ' || ordinal || ': ', '') || _event_detail(subject, metric, quantity, null, now());
        end if;
    end if;
    return (ordinal, subject, metric, trim_scale(quantity), idempotency_key, trim_scale(minimum), _hold_ttl(ttl), metadata,
            coalesce(reservation_id, nextval('event_ids')), _key_digest(metric, subject, idempotency_key))::hold_request;
end
$$;

comment on function _prepare_hold(bigint, text, text, numeric, text, numeric, interval, jsonb, bigint) is
    'Checks a request of reserve() or reserve_batch() and draws the id of its reservation, unless one is given. Raises as reserve() does.';

create or replace function _hold_ttl(ttl interval)
returns interval
language plpgsql
stable
set search_path from current
as $$
declare
    v_ttl interval := coalesce(ttl, _parse_duration(_setting_value('reservation_ttl')));
    v_max interval := _parse_duration(_setting_value('reservation_ttl_max'));
begin
    if v_ttl <= interval '0' or v_ttl > v_max then
        raise exception using
            errcode = '22023', message = 'ttl is not positive, or longer than the setting reservation_ttl_max', column = 'ttl',
            detail = format('ttl %s, reservation_ttl_max %s.', v_ttl, v_max),
            hint = 'Pass a shorter ttl and call extend() while the usage goes on, or change the setting.';
    end if;
    return v_ttl;
end
$$;

comment on function _hold_ttl(interval) is
    'How long a reservation holds; null is the setting reservation_ttl. Raises 22023 for a ttl that is not positive or too long.';

create or replace function _parse_holds(requests jsonb)
returns hold_request[]
language plpgsql
volatile
set search_path from current
as $$
declare
    v_parsed record;
    v_holds  hold_request[] := '{}';
begin
    if requests is null then
        raise exception using errcode = '22004', message = 'requests is null', column = 'requests', hint = 'Pass a JSON array; it may be empty.';
    elsif jsonb_typeof(requests) <> 'array' then
        raise exception using
            errcode = '22023', message = 'requests is not a JSON array', column = 'requests',
            detail = format('It is of type %s.', jsonb_typeof(requests)),
            hint = 'Pass an array of objects with the names of reserve()''s parameters.';
    end if;
    for v_parsed in
        -- Form and numbers are read as those of events.
        select e.*, m.quantity as minimum, coalesce(e.problem, m.problem) as broken, r.request ->> 'ttl' as ttl,
               case when e.problem is null and m.problem is not null then replace(m.detail, 'quantity', 'minimum') else e.detail end as broken_detail
        from jsonb_array_elements(requests) with ordinality r (request, ordinal)
        cross join lateral (
            select case jsonb_typeof(r.request) when 'object' then r.request - '{minimum,ttl}'::text[] else r.request end as event,
                   case jsonb_typeof(r.request) when 'object' then jsonb_build_object('quantity', r.request -> 'minimum') else '{}' end as minimum
        ) j
        cross join lateral _parse_events(jsonb_build_array(j.event)) e
        cross join lateral _parse_events(jsonb_build_array(j.minimum)) m
        order by r.ordinal
    loop
        perform _check_hold_form(cardinality(v_holds) + 1, v_parsed.broken, v_parsed.broken_detail, v_parsed.ttl,
                                 requests -> cardinality(v_holds));
        v_holds := v_holds || _prepare_hold(cardinality(v_holds) + 1, v_parsed.subject, v_parsed.metric, v_parsed.quantity,
            v_parsed.idempotency_key, v_parsed.minimum, _parse_duration(v_parsed.ttl), v_parsed.metadata);
    end loop;
    return v_holds;
end
$$;

comment on function _parse_holds(jsonb) is
    'The checked requests of reserve_batch(). Raises 22004 or 22023 if they are not an array of objects, and otherwise as reserve() does; DETAIL '
    'names the request.';

create or replace function _check_hold_form(ordinal integer, problem text, detail text, ttl text, request jsonb)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if problem is not null or jsonb_exists_any(request, '{member,at}') or ttl is not null and _parse_duration(ttl) is null then
        raise exception using
            errcode = '22023', message = 'a request cannot be read', column = 'requests',
            detail = format('Request %s: %s.', ordinal, coalesce(detail, replace(problem, '_', ' '), 'ttl ' || quote_literal(left(ttl, 80)),
                'field member or at')),
            hint = 'Pass objects with subject, metric, quantity, idempotency_key, minimum, ttl (such as "10 minutes") and metadata.';
    end if;
end
$$;

comment on function _check_hold_form(integer, text, text, text, jsonb) is
    'Raises 22023 for a request of reserve_batch() that is no object, or has an unknown field or a value of the wrong type.';

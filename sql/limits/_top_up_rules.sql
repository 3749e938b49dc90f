create or replace function _check_top_up(
    subject text, quantity numeric, idempotency_key text, priority integer, since timestamptz, expires_at timestamptz, source text, reason text
)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule record;
begin
    perform _check_name('subject', _check_top_up.subject, 512), _check_name('idempotency_key', _check_top_up.idempotency_key, 512),
        _check_time('since', _check_top_up.since), _check_time('expires_at', _check_top_up.expires_at),
        _check_word('source', _check_top_up.source, '{paid,promotional}');
    select * into v_rule
    from (values
        (_check_top_up.quantity is null, '22004', 'quantity', 'quantity is null', 'Pass how much, in the metric''s unit.'),
        ((_check_top_up.quantity > 0 and _check_top_up.quantity <= 1e50 and scale(_check_top_up.quantity) <= 50) is false, '22023', 'quantity',
            'quantity is not positive, too large or has too many decimals', 'Pass a number above 0 and up to 1e50, with at most 50 decimals.'),
        (_check_top_up.priority is null, '22004', 'priority', 'priority is null', 'Lower ones are used first; the default is 50.'),
        (length(_check_top_up.reason) > 1000, '22023', 'reason', 'reason is too long', 'Give at most 1,000 characters.'),
        (_check_top_up.since >= _check_top_up.expires_at, '22023', 'expires_at', 'expires_at is not after since',
            'Pass a later expires_at, or null for a top-up that does not expire.')
    ) as r (is_broken, sqlstate, parameter, message, hint)
    where r.is_broken
    limit 1;
    if found then
        raise exception using errcode = v_rule.sqlstate, message = v_rule.message, column = v_rule.parameter, hint = v_rule.hint,
            detail = format('quantity %s, since %s, expires_at %s.', coalesce(left(_check_top_up.quantity::text, 80), 'null'),
                coalesce(_check_top_up.since::text, 'null'), coalesce(_check_top_up.expires_at::text, 'null'));
    end if;
end
$$;

comment on function _check_top_up(text, numeric, text, integer, timestamptz, timestamptz, text, text) is
    'Raises 22004 or 22023 for a bad value of a top-up. since null: not known yet.';

-- Without since, the caller leaves it to the first call.
create or replace function _check_same_top_up(stored top_ups, requested top_ups)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if (stored.quantity, stored.priority, stored.since, stored.expires_at, stored.source, stored.reason) is distinct from
        (requested.quantity, requested.priority, coalesce(requested.since, stored.since), requested.expires_at, requested.source,
         requested.reason)
    then
        raise exception using
            errcode = 'UM005', message = 'the idempotency key was used before for another top-up', column = 'idempotency_key',
            detail = format('idempotency_key %s, top-up %s.', quote_literal(left(stored.idempotency_key, 80)), stored.top_up_id),
            hint = 'Nothing was changed. Pass a new key for another top-up; void_top_up() takes back the first one.';
    end if;
end
$$;

comment on function _check_same_top_up(top_ups, top_ups) is 'Raises UM005 unless a top-up that is stored is the one that is requested.';

-- Also of a metric without limits: its first limit may be set meanwhile, by a transaction that does not see the top-up.
create or replace function _top_ups_changed(metric text, subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    perform _mark_series(_top_ups_changed.subject, array(
        select s.series_id from series s
        where s.metric = _top_ups_changed.metric and s.subject = _top_ups_changed.subject and s.stripe = 0));
end
$$;

comment on function _top_ups_changed(text, text) is
    'Makes recording look anew at the top-ups of a subject and metric. Raises 55P03 if the series is locked for 5 seconds.';

create or replace function _check_credit(
    subject text, amount numeric, currency text, idempotency_key text, priority integer, since timestamptz, expires_at timestamptz, source text,
    reason text
)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_decimals integer := _currency_decimals(_check_credit.currency);
    v_rule     record;
begin
    perform _check_name('subject', _check_credit.subject, 512), _check_name('idempotency_key', _check_credit.idempotency_key, 512),
        _check_time('since', _check_credit.since), _check_time('expires_at', _check_credit.expires_at),
        _check_word('source', _check_credit.source, '{paid,promotional}');
    select * into v_rule
    from (values
        (_check_credit.amount is null, '22004', 'amount', 'amount is null', 'Pass how much, in the currency.'),
        ((_check_credit.amount > 0 and _check_credit.amount < 1e50 and scale(trim_scale(_check_credit.amount)) <= v_decimals) is not true, '22023',
            'amount', 'amount is not positive, too large, or has more decimals than the currency',
            format('Pass a number above 0 with at most %s decimals.', v_decimals)),
        (_check_credit.priority is null, '22004', 'priority', 'priority is null', 'Lower ones are drawn first; the default is 50.'),
        (length(_check_credit.reason) > 1000, '22023', 'reason', 'reason is too long', 'Give at most 1,000 characters.')
    ) as r (is_broken, sqlstate, parameter, message, hint)
    where r.is_broken
    limit 1;
    if found then
        raise exception using errcode = v_rule.sqlstate, message = v_rule.message, column = v_rule.parameter, hint = v_rule.hint,
            detail = format('amount %s %s, priority %s.', coalesce(left(_check_credit.amount::text, 80), 'null'), _check_credit.currency,
                coalesce(_check_credit.priority::text, 'null'));
    end if;
    perform _check_credit_times(_check_credit.since, _check_credit.expires_at);
end
$$;

comment on function _check_credit(text, numeric, text, text, integer, timestamptz, timestamptz, text, text) is
    'Raises 22004 or 22023 for a bad value of a credit.';

-- Without since, a repetition may come when the credit has expired.
create or replace function _check_credit_times(since timestamptz, expires_at timestamptz)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if since >= expires_at then
        raise exception using
            errcode = '22023', message = 'expires_at is not after since', column = 'expires_at',
            detail = format('since %s, expires_at %s.', since, expires_at),
            hint = 'Pass a later expires_at, or null for a credit that does not expire.';
    end if;
end
$$;

comment on function _check_credit_times(timestamptz, timestamptz) is 'Raises 22023 if a credit would never be in force. since null: not known yet.';

create or replace function _check_same_credit(stored credits, requested credits)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if (stored.amount, stored.currency, stored.priority, stored.since, stored.expires_at, stored.source, stored.reason) is distinct from
        (requested.amount, requested.currency, requested.priority, requested.since, requested.expires_at, requested.source, requested.reason)
    then
        raise exception using
            errcode = 'UM005', message = 'the idempotency key was used before for another credit', column = 'idempotency_key',
            detail = format('idempotency_key %s, credit %s.', quote_literal(left(stored.idempotency_key, 80)), stored.credit_id),
            hint = 'Nothing was changed. Pass a new key for another credit; void_credit() takes back the first one.';
    end if;
end
$$;

comment on function _check_same_credit(credits, credits) is 'Raises UM005 unless a credit that is stored is the one that is requested.';

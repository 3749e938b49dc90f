create or replace function _check_event(
    metric metrics, metric_key text, subject text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb
)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule record;
begin
    select r.* into v_rule
    from _event_rules(null, _check_event.metric.aggregate, _check_event.metric.retired_at, _check_event.metric.max_future,
                      _check_event.subject, metric_key, _check_event.quantity, _check_event.member, _check_event.idempotency_key,
                      _check_event.at, _check_event.metadata) r
    where r.is_broken
    limit 1;
    if found then
        raise exception using
            errcode = v_rule.sqlstate, message = v_rule.message, hint = v_rule.hint, column = v_rule.parameter,
            detail = _event_detail(_check_event.subject, metric_key, _check_event.quantity, _check_event.member, _check_event.at);
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _pin_metrics(array[metric_key]), _check_keys();
    end if;
end
$$;

comment on function _check_event(metrics, text, text, numeric, text, text, timestamptz, jsonb) is
    'Raises the error of the first rule that an event breaks. In a REPEATABLE READ or SERIALIZABLE transaction it also locks the metric''s '
    'definition.';

create or replace function _event_detail(subject text, metric text, quantity numeric, member text, at timestamptz)
returns text
language sql
stable parallel safe
as $$
    select format('subject %s, metric %s, quantity %s, member %s, at %s.',
        coalesce(quote_literal(left(subject, 80)), 'null'), coalesce(quote_literal(left(metric, 80)), 'null'),
        coalesce(left(quantity::text, 40), 'null'),
        coalesce(quote_literal(left(member, 80)), 'null'), coalesce(to_char(at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'null'))
$$;

comment on function _event_detail(text, text, numeric, text, timestamptz) is
    'The DETAIL of an error about an event: its values, truncated to a readable length.';

-- A transaction with one snapshot for all its statements could otherwise record by a definition that has changed since.
create or replace function _pin_metrics(metric_keys text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform from metrics where key = any (metric_keys) order by key for share;
end
$$;

comment on function _pin_metrics(text[]) is
    'Locks definitions of metrics against change until the transaction ends; raises 40001 if one has changed since the snapshot was '
    'taken.';

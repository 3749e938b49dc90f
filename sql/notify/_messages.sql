-- The time makes the id unique also after a restore, when ids of notifications are given again.
create or replace function _message_id(notification notifications)
returns text
language sql
immutable
set search_path from current
as $$
    select format('msg_%s_%s', notification.notification_id, (extract(epoch from notification.created_at) * 1000000)::bigint)
$$;

comment on function _message_id(notifications) is 'The id under which a notification is sent.';

create or replace function _message_body(notification notifications, format text)
returns text
language sql
stable
set search_path from current
as $$
    select case _message_body.format
        -- Without markup: a subject *a* is not bold. The three characters are to be escaped all the same, or <!channel> calls everybody.
        when 'slack' then json_build_object(
            'text', replace(replace(replace(_message_text(notification), '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), 'mrkdwn', false)
        when 'email' then json_build_object(
            'subject', concat_ws(' ', notification.type, notification.metric, notification.subject), 'text', _message_text(notification))
        else json_build_object(
            'type', notification.type,
            'timestamp', to_char(notification.created_at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'subject', notification.subject, 'metric', notification.metric, 'data', notification.data)
    end::text
$$;

comment on function _message_body(notifications, text) is
    'What an endpoint of a format is sent: JSON. standard: type, timestamp, subject, metric, data; slack: text, mrkdwn; email: subject and text.';

create or replace function _shortened(text text)
returns text
language sql
immutable
set search_path from current
as $$
    select case when length(text) > 3000 then left(text, 2997) || '...' else text end
$$;

comment on function _shortened(text) is 'A text for people, of at most 3,000 characters: the data of an event may be long.';

create or replace function _edge_text(edge jsonb)
returns text
language sql
stable
set search_path from current
as $$
    select regexp_replace(to_char((edge #>> '{}')::timestamptz at time zone interval '0', 'YYYY-MM-DD HH24:MI:SS'), '( 00:00)?:00$', '')
$$;

comment on function _edge_text(jsonb) is 'An edge of a period for people, in UTC: a day, if it is the start of one.';

create or replace function _message_text(notification notifications)
returns text
language sql
stable
set search_path from current
as $$
    select _shortened(coalesce(case
        when notification.type = 'threshold.projected' then
            format('threshold.projected: %s is expected to have used %s (%s to %s) of %s %s of %s at the end of the period, %s UTC, and has used %s, '
                'mark %s %% (limit %s, %s).', notification.subject, d ->> 'expected', d ->> 'low', d ->> 'high', d ->> 'denominator', d ->> 'unit',
                notification.metric, _edge_text(d -> 'until'), d ->> 'numerator', d ->> 'mark', d ->> 'limit', d ->> 'period')
        when notification.type like 'threshold.%' or notification.type = 'limit.refused' then
            format('%s: %s has used %s of %s %s of %s%s (limit %s, %s).', notification.type, notification.subject,
                d ->> 'numerator', d ->> 'denominator', d ->> 'unit', notification.metric,
                ', mark ' || (d ->> 'mark') || ' %', d ->> 'limit', d ->> 'period')
        when notification.type like 'budget.%' then
            format('%s: %s %s %s of %s %s%s (%s).', notification.type, notification.subject,
                case when (d -> 'projected')::boolean then 'is expected to spend' else 'has spent' end,
                d ->> 'numerator', d ->> 'denominator', d ->> 'currency', ', mark ' || (d ->> 'mark') || ' %', d ->> 'period')
        when notification.type = 'spike.detected' then
            format('spike.detected: %s has used %s %s of %s since %s, %s times what is usual (%s).', notification.subject, d ->> 'quantity',
                d ->> 'unit', notification.metric, d ->> 'since', d ->> 'ratio', d ->> 'expected')
        when notification.type = 'period.closed' then
            format('period.closed: %s is closed from %s to %s UTC, statement %s%s.', notification.subject, _edge_text(d -> 'since'),
                _edge_text(d -> 'until'), d ->> 'statement_id', ': ' || (
                    select string_agg(format('%s %s', coalesce(t.value, 'unknown'), t.key), ', ' order by t.key)
                    from jsonb_each_text(d -> 'totals') t))
        when notification.type = 'usage.late' then
            format('usage.late: %s has %s %s of %s from %s to %s UTC, statement %s says %s. To be decided: %s%s.', notification.subject,
                d ->> 'current', d ->> 'unit', notification.metric, _edge_text(d -> 'since'), _edge_text(d -> 'until'), d ->> 'statement_id',
                d ->> 'stated', d ->> 'delta', ', ' || coalesce(d ->> 'amount', 'unknown') || ' ' || (d ->> 'currency'))
    end, notification.type || ': ' || concat_ws(', ', notification.subject, notification.metric) || coalesce(' ' || nullif(d::text, '{}'), '')))
    from (values (notification.data)) n (d)
$$;

comment on function _message_text(notifications) is 'A notification in words, for people; at most 3,000 characters.';

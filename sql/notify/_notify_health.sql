create or replace function _delivery_delay(now timestamptz)
returns interval
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select _delivery_delay.now - least(
        (select min(n.created_at)
         from (select created_at from notifications where planned_at is null order by notification_id limit 10000) n
         where n.created_at >= (select min(e.since) from endpoints e where e.disabled_at is null)),
        (select min(d.due) from endpoints e
         cross join lateral (
             select min(d.next_attempt_at) as due from deliveries d
             where d.endpoint = e.name and d.state in ('planned', 'sending')
         ) d
         where e.disabled_at is null))
$$;

comment on function _delivery_delay(timestamptz) is
    'For how long the oldest notification that is due has been waiting to be sent to an endpoint in use; negative if the next one is not due yet, '
    'null if there is none.';

create or replace function _delivery_problems(now timestamptz)
returns setof text
language sql
stable
set search_path from current
as $$
    select format('notifications have not been sent for %s: does pymeter run with the command that sends them?', date_trunc('minute', o.late))
    from _delivery_delay(_delivery_problems.now) o (late)
    where o.late >= interval '1 hour'
$$;

comment on function _delivery_problems(timestamptz) is 'What health() reports as a problem of deliveries: none has been sent for an hour.';

create or replace function _delivery_notices(now timestamptz)
returns setof text
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select format('the endpoint %s is disabled: %s', e.name, e.disabled_reason) from endpoints e where e.disabled_at is not null
    union all
    select format('every attempt to send to the endpoint %s has failed since %s; see deliveries()', e.name,
                  to_char(e.failing_since at time zone interval '0', 'YYYY-MM-DD HH24:MI "UTC"'))
    from endpoints e where e.disabled_at is null and e.failing_since <= _delivery_notices.now - interval '1 hour'
    union all
    select format('%s%s to %s %s dead; see deliveries(state => ''dead'') and retry_deliveries()',
                  case when d.dead > 1000 then 'more than ' else '' end,
                  case d.dead when 1 then '1 delivery' else least(d.dead, 1000) || ' deliveries' end, e.name,
                  case d.dead when 1 then 'is' else 'are' end)
    from endpoints e
    cross join lateral (
        select count(*) as dead from (select from deliveries d where d.endpoint = e.name and d.state = 'dead' limit 1001) d
    ) d
    where d.dead > 0
$$;

comment on function _delivery_notices(timestamptz) is
    'What health() reports as a notice of deliveries: endpoints that are disabled or have failed for an hour, and dead deliveries.';

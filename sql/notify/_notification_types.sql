-- usage.recorded and usage.aggregated are written only while an endpoint asks for them by name; the others always.
create or replace function _notification_types()
returns text[]
language sql
immutable parallel safe
set search_path from current
as $$
    select '{threshold.approaching,threshold.exceeded,threshold.cleared,threshold.projected,limit.refused,'
        'metric.defined,metric.updated,metric.retired,'
        'usage.recorded,usage.aggregated,reservation.expired,top_up.depleted,top_up.expired,subscription.changed,spike.detected,'
        'period.closed,usage.late,correction.applied,correction.reverted,budget.approaching,budget.exceeded,budget.cleared}'::text[]
$$;

comment on function _notification_types() is 'The types that an endpoint can ask for.';

create or replace function _asks_for(types text[], type text)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select type = any (types) or '*' = any (types) and type not in ('usage.recorded', 'usage.aggregated', 'endpoint.test')
$$;

comment on function _asks_for(text[], text) is 'Whether an endpoint with these types is sent notifications of a type.';

create or replace function _is_asked_for(type text)
returns boolean
language sql
stable
set search_path from current
as $$
    select exists (select from endpoints e where _is_asked_for.type = any (e.types) and e.disabled_at is null)
$$;

comment on function _is_asked_for(text) is 'Whether an endpoint that is in use asks for this type by name.';

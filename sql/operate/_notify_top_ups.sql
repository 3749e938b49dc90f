-- Each call looks at a bounded number of subjects, those first that were looked at longest ago, until each has been looked at within an hour.
-- A top-up that is locked is being voided, or is left to the next call. What is left of one that has expired is what was left at its end.
-- Holds take from top-ups after usage, so they are in the last ones that anything was taken from: what they alone have emptied is not used up.
create or replace function _notify_top_ups(most integer)
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_now    timestamptz := clock_timestamp();
    v_asked  record;
    v_state  top_up_state;
    v_count  bigint := 0;
    v_looked integer := 0;
begin
    for v_asked in
        select m, t.subject, t.at
        from (
            select t.metric, t.subject, least(v_now, t.expires_at - interval '1 microsecond') as at, min(t.looked_at) as looked_at
            from top_ups t
            where t.voided_at is null and t.expired_at is null and (t.depleted_at is null or t.expires_at <= v_now) and t.since <= v_now
              and ((select _all_here()) or _is_home(t.subject))
            group by 1, 2, 3
            order by 4 nulls first, 1, 2, 3
            limit _notify_top_ups.most
        ) t
        join metrics m on m.key = t.metric
        order by t.metric, t.subject, t.at
    loop
        v_looked := v_looked + 1;
        update top_ups t set looked_at = v_now
        where t.top_up_id in (
            select o.top_up_id from top_ups o
            where o.metric = (v_asked.m).key and o.subject = v_asked.subject and o.voided_at is null and o.expired_at is null
            for no key update skip locked);
        v_state := _top_up_state(v_asked.m, v_asked.subject, v_asked.at, v_now);
        for n in 1 .. cardinality(v_state.top_ups) loop
            if _is_active(v_state.top_ups[n], v_asked.at) then
                v_count := v_count + _notify_top_up(
                    v_asked.m, v_state.top_ups[n], (v_state.draw).top_ups_left[n], (v_state.balance).held <= (v_state.draw).overrun + (
                        select coalesce(sum((v_state.top_ups[k]).quantity - (v_state.draw).top_ups_left[k]), 0)
                        from generate_series(n + 1, cardinality(v_state.top_ups)) k), v_now);
            end if;
        end loop;
    end loop;
    if v_count > 0 then
        return next ('notified of top-ups', v_count)::maintenance_action;
    end if;
    if v_looked = _notify_top_ups.most and exists (
        select from top_ups t
        where t.voided_at is null and t.expired_at is null and (t.depleted_at is null or t.expires_at <= v_now) and t.since <= v_now
          and coalesce(t.looked_at, '-infinity') < v_now - interval '1 hour' and ((select _all_here()) or _is_home(t.subject))) then
        return next ('again', 'top-ups are left to look at: run maintain() again')::maintenance_action;
    end if;
end
$$;

comment on function _notify_top_ups(integer) is
    'Writes a notification for each top-up that is used up, and for each that has expired, once. most: how many subjects it looks at.';

create or replace function _notify_top_up(metric metrics, top_up top_ups, remaining numeric, by_usage boolean, now timestamptz)
returns integer
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_data  jsonb := jsonb_strip_nulls(jsonb_build_object(
        'top_up_id', top_up.top_up_id, 'idempotency_key', top_up.idempotency_key, 'quantity', top_up.quantity,
        'remaining', trim_scale(_notify_top_up.remaining), 'unit', metric.unit, 'source', top_up.source, 'since', top_up.since,
        'expires_at', top_up.expires_at));
    v_type  text;
    v_count integer := 0;
begin
    foreach v_type in array '{depleted,expired}'::text[] loop
        if v_type = 'depleted' and top_up.depleted_at is null and _notify_top_up.remaining = 0 and by_usage
            or v_type = 'expired' and top_up.expires_at <= _notify_top_up.now
        then
            update top_ups t set depleted_at = case v_type when 'depleted' then _notify_top_up.now else t.depleted_at end,
                                 expired_at = case v_type when 'expired' then _notify_top_up.now else t.expired_at end
            where t.top_up_id = (select o.top_up_id from top_ups o where o.top_up_id = top_up.top_up_id and o.voided_at is null
                                 for no key update skip locked);
            if found then
                perform _notify('top_up.' || v_type, top_up.subject, (_notify_top_up.metric).key, v_data);
                v_count := v_count + 1;
            end if;
        end if;
    end loop;
    return v_count;
end
$$;

comment on function _notify_top_up(metrics, top_ups, numeric, boolean, timestamptz) is
    'Writes the notifications of a top-up that have become due, and returns how many. remaining: what is left of it; by_usage: usage alone has '
    'taken the rest, not holds.';

create or replace function _notify_top_ups_each_minute()
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    c_most constant integer := 300;
    v_now  timestamptz := clock_timestamp();
begin
    if not exists (select from top_ups t where t.voided_at is null and t.expired_at is null) or not exists (
        select from endpoints e
        where e.disabled_at is null and (_asks_for(e.types, 'top_up.depleted') or _asks_for(e.types, 'top_up.expired'))) then
        return;
    end if;
    insert into maintenance as m (task, done_at) values ('notify_top_ups', v_now)
    on conflict (task) do update set done_at = excluded.done_at
    where m.done_at not between v_now - interval '1 minute' and v_now;
    if found then
        perform _keep_homes(), _notify_top_ups(c_most);
    end if;
end
$$;

comment on function _notify_top_ups_each_minute() is
    'Writes the notifications of top-ups, of at most 300 subjects a minute, if an endpoint asks for them. The caller has locked no endpoint.';

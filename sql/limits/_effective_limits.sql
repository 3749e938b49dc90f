-- A period has one quota: the version that holds at the earlier of now and the period's end. The same moment decides about subscriptions.
create or replace function _effective_limits(metric metrics, subject text, at timestamptz, now timestamptz)
returns setof effective_limit
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_metric metrics := _effective_limits.metric;
begin
    return query
        with versions as (
            select l.* from limits l where l.metric = v_metric.key and l.subject = _effective_limits.subject
            union all
            select l.* from limits l where l.metric = v_metric.key and l.subject is null
        ), held as (
            select distinct on (v.name, v.period, v.subject, v.plan)
                   v.*, w.since as window_since, w.until as window_until, w.is_trailing, d.decided_at
            from versions v
            cross join lateral _limit_window(v_metric, v.period, _effective_limits.subject, _effective_limits.at, _effective_limits.now) w
            cross join lateral (select least(_effective_limits.now, w.until - interval '1 microsecond') as decided_at) d
            where v.since <= d.decided_at
            order by v.name, v.period, v.subject, v.plan, v.since desc, v.limit_id desc
        ), ranked as (
            select h.*, row_number() over slot as rank, first_value(h.limit_id) over slot as first_id,
                   first_value(coalesce(h.subject, h.plan, 'everyone')) over slot as first_name
            from held h
            where not h.removed and (h.plan is null or exists (
                select from subscriptions s
                where s.subject = _effective_limits.subject and s.plan = h.plan
                  and s.since <= h.decided_at and coalesce(s.until, 'infinity') > h.decided_at))
            window slot as (partition by h.name, h.period
                            order by h.subject is null, h.plan is null, h.quota is null, _action_rank(h.action), h.quota, h.limit_id)
        )
        select r.limit_id, r.metric, r.name, r.period,
               case when r.subject is not null then 'subject' when r.plan is not null then 'plan' else 'everyone' end, r.plan, r.quota, r.action,
               r.window_since, r.window_until, r.rank = 1,
               case when r.rank > 1 then format('shadowed by limit %s, of %s', r.first_id, r.first_name)
                    when r.quota is null then 'unlimited'
                    when r.subject is not null then 'the subject''s own'
                    when r.plan is not null then 'the strictest of the subject''s plans'
                    else 'everyone''s' end,
               r.marks, r.every, r.projected
        from ranked r
        order by r.name, r.period, r.rank;
end
$$;

comment on function _effective_limits(metrics, text, timestamptz, timestamptz) is
    'The limits that may count for usage of a subject at an instant, as they hold now, and which of each name and period does.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _action_rank(action text)
returns integer
language sql
immutable parallel safe
as $$
    select array_position(array['block', 'alert', 'none'], action)
$$;

comment on function _action_rank(text) is 'The order of the actions of limits, the strictest first.';

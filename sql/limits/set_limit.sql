create or replace function set_limit(
    metric text,
    quota numeric,
    subject text default null,
    plan text default null,
    period text default null,
    action text default 'block',
    marks numeric[] default '{80,100}',
    name text default 'default',
    since timestamptz default null,
    rollover_min numeric default null,
    rollover_max numeric default null,
    every numeric default null,
    projected boolean default false
)
returns limits
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := case when not _is_open('set_limit') or _check_caller('set_limit') then _get_metric(set_limit.metric) end;
    v_version limits;
    v_before  limits;
begin
    perform _check_limit(v_metric, set_limit.quota, set_limit.subject, set_limit.plan, set_limit.action, set_limit.marks, set_limit.name,
                         set_limit.every), _check_time('since', set_limit.since);
    v_version.metric := v_metric.key;
    v_version.name := set_limit.name;
    v_version.period := _limit_period(v_metric, set_limit.period);
    v_version.subject := set_limit.subject;
    v_version.plan := set_limit.plan;
    perform _check_rollover(v_metric, v_version.period, v_version.name, set_limit.rollover_min, set_limit.rollover_max),
        _check_projected(v_metric, v_version.period, set_limit.projected);
    v_version.rollover_min := trim_scale(set_limit.rollover_min);
    v_version.rollover_max := trim_scale(set_limit.rollover_max);
    v_version.quota := trim_scale(set_limit.quota);
    v_version.action := set_limit.action;
    v_version.marks := array(select distinct trim_scale(m) from unnest(set_limit.marks) m order by 1);
    v_version.every := trim_scale(set_limit.every);
    v_version.projected := set_limit.projected;
    v_version.removed := false;
    if set_limit.subject is not null then
        if not v_metric.limited then
            perform _lock_metric(v_metric.key);  -- recorders with one snapshot lock it before the subject
        end if;
        perform _lock_limited_subject(set_limit.subject);
    else
        perform _lock('catalog');
    end if;
    -- The clock, not the beginning of the transaction: what was set before this call is the past.
    v_version.since := coalesce(set_limit.since, clock_timestamp());
    v_before := _limit_version(v_metric.key, v_version.name, v_version.period, v_version.subject, v_version.plan, v_version.since);
    if _is_same_limit(v_before, v_version) then
        return v_before;
    end if;
    v_version := _add_limit_version(v_version);
    perform _log_change('set_limit', v_metric.key, to_jsonb(v_before), to_jsonb(v_version));
    return v_version;
end
$$;

comment on function set_limit(text, numeric, text, text, text, text, numeric[], text, timestamptz, numeric, numeric, numeric, boolean) is
    'Sets how much of a metric may be used in a period: by a subject, by every subject with a plan, or without either by everyone. Of one name '
    'and period, a subject''s own limit counts before those of its plans, of which the strictest counts, and these before everyone''s; limits of '
    'other names or periods hold beside it. quota: in the metric''s unit; null: unlimited. period: a calendar unit (UTC), cycle (the '
    'subject''s billing cycle) or a duration such as 30 days (the window that ends now); null: the metric''s own. action: block refuses '
    'events beyond the quota, alert only notifies, none does neither. marks: percentages of the quota at which a notification is written; '
    'every: beyond the quota, one more at each further step of this size. since: from when; null: now. rollover_min and rollover_max: what is left '
    'of the quota when a period ends, '
    'but no less and no more than these, goes over to the next period; both null: nothing does. projected: '
    'judge_projections() also notifies of a mark when the usage that is expected at the end of the period reaches it. A change is a new version: it '
    'never resets usage, and holds for the whole of the current period. A repetition changes nothing. Returns the version. A limit of a subject '
    'makes the subject''s recording wait until the transaction ends. Raises UM001 for an unknown metric, UM002 for one with the aggregate min or '
    'avg, or without buckets that projected needs, UM007 for an unknown plan, 22004 or 22023 for a bad value, 55P03 if other transactions stay '
    'open for 5 seconds, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT '
    'metric, period, quota, action, marks FROM meter.set_limit(''tokens'', 1000000, subject => ''acct_1''); ROLLBACK;';

create or replace function _compared_subjects(plans text[], since timestamptz, until timestamptz, subjects text[])
returns text[]
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_metrics text[] := array(select distinct p.metric from plan_prices p where p.plan = any (_compared_subjects.plans) and p.metric is not null);
begin
    return array(
        select n.subject
        from (
            select u.subject
            from metrics m
            cross join lateral _all_usage(m, _compared_subjects.since, _compared_subjects.until) u
            where m.key = any (v_metrics) and _compared_subjects.subjects is null and (u.event_count <> 0 or u.quantity <> 0)
            union
            select s.subject
            from subscriptions s
            where s.plan = any (_compared_subjects.plans) and s.since < _compared_subjects.until
              and coalesce(s.until, 'infinity') > _compared_subjects.since and _compared_subjects.subjects is null
              and ((select _all_here()) or _is_here(s.subject))
            union
            select unnest(_compared_subjects.subjects)
        ) n
        where n.subject is not null
        order by 1);
end
$$;

comment on function _compared_subjects(text[], timestamptz, timestamptz, text[]) is
    'Whom a comparison is of: these subjects, or (null) all who used what the plans have a price for, or had one of the plans.';

create or replace function _all_usage(metric metrics, since timestamptz, until timestamptz)
returns setof window_usage
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _all_usage.metric;
    v_cut    window_cut := _cut_window(v_metric, _all_usage.since, _all_usage.until);
begin
    return query
    select u.subject, v_metric.key, _all_usage.since, _all_usage.until, u.event_count,
           case when v_metric.carry and u.event_count = 0 then coalesce(_carried_value(v_metric, u.series_id, _all_usage.since), 0)
                when u.members_overlap then _distinct_members(v_metric, u.series_id, v_cut)
                else u.quantity end
    from _subject_usage(v_metric, v_cut, null, 2147483647) u;
    perform _check_subject_edges(v_metric, v_cut);
end
$$;

comment on function _all_usage(metrics, timestamptz, timestamptz) is
    'The usage of a metric by every subject that has any, as totals() has it. Raises UM006 and 40001 as totals() does.';

create or replace function verify(subject text default null, metric text default null)
returns setof drift
language plpgsql
stable
security definer
set search_path from current
set work_mem to '128MB'
as $$
#variable_conflict use_column
begin
    if _is_open('verify') then perform _check_caller('verify'); end if;
    perform _check_scope(verify.subject, verify.metric);
    return query
    select d.subject, d.metric, d.bucket, d.bucket_start,
           _quantity(m.aggregate, s.event_count, s.total, s.lowest, s.highest, s.latest),
           _quantity(m.aggregate, r.event_count, r.total, r.lowest, r.highest, r.latest),
           case
               when d.of_month then 'month'
               else concat_ws(' and ', case when d.stored is distinct from d.recomputed then 'rollup' end,
                                       case when d.members_drift then 'members' end)
           end
    from (
        select (drift).*, false as of_month from _rollup_drifts(verify.subject, verify.metric, with_members => true)
        union all
        select *, true from _dropped_month_drifts(verify.subject, verify.metric)
    ) d
    cross join lateral (select (d.stored).*) s
    cross join lateral (select (d.recomputed).*) r
    left join metrics m on m.key = d.metric
    order by d.subject, d.metric, d.bucket, d.bucket_start;
end
$$;

comment on function verify(text, text) is
    'Recomputes the rollups and members of one subject, one metric or (both null) everything from the log, and returns those that '
    'differ: no row means no drift. stored or recomputed is null where there is no such row; what says whether the rollup, its members '
    'or both differ. Of events that maintain() has dropped, the totals that it kept are used: by week, month, year or for all time they '
    'tell each bucket; of the minutes, hours and days of a dropped month they tell whether all together are right (what is month, '
    'bucket_start the month''s). Where a partition was dropped in another way, the buckets that it had a part in are left out. '
    'Raises UM001 for an unknown metric, 22023 for a blank subject.';

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
    'Recomputes rollups and members from the log and returns those that differ: no row means no drift. A null subject or metric means '
    'all. stored or recomputed is null if there is no such row. what: rollup, members, or both. Months that maintain() has dropped are '
    'checked against the totals it kept. Buckets of a week or longer, which include them, are checked one by one. The minutes, hours and '
    'days of a dropped month are checked only as their sum: what is month, and bucket_start the month''s. Buckets that include a partition '
    'dropped by hand are not checked. Raises UM001 for an unknown metric, 22023 for a blank subject, 40001 if events were moved to other '
    'partitions since the snapshot was taken. '
    'Example: SELECT count(*) AS drifts FROM meter.verify(''acct_1'');';

create or replace function verify(subject text default null, metric text default null)
returns setof drift
language plpgsql
stable
security definer
set search_path from current
set work_mem to '128MB'
as $$
#variable_conflict use_column
declare
    v_scope integer[];
begin
    if _is_open('verify') then perform _check_caller('verify'); end if;
    v_scope := _series_in_scope(verify.subject, verify.metric, false);
    return query
    select t.subject, t.metric, d.bucket, d.bucket_start,
           _quantity(m.aggregate, s.event_count, s.total, s.lowest, s.highest, s.latest[3]),
           _quantity(m.aggregate, r.event_count, r.total, r.lowest, r.highest, r.latest[3]),
           case
               when d.of_month then 'month'
               when d.stored is distinct from d.recomputed or not d.members_drift
                   then 'rollup' || case when d.members_drift then ' and members' else '' end
               else 'members'
           end
    from (
        select series_id, bucket, bucket_start, stored, recomputed, members_drift, false as of_month
        from _rollup_drifts(v_scope, with_members => true)
        union all
        select series_id, bucket, bucket_start, stored, recomputed, false, true from _dropped_month_drifts(v_scope)
    ) d
    cross join lateral (select (d.stored).*) s
    cross join lateral (select (d.recomputed).*) r
    left join series t on t.series_id = d.series_id and t.stripe = 0
    left join metrics m on m.key = t.metric
    order by t.subject, t.metric, d.bucket, d.bucket_start;
end
$$;

comment on function verify(text, text) is
    'Recomputes rollups and members from the log and returns those that differ: no row means no drift. A null subject or metric means '
    'all. stored or recomputed is null if there is no such row. what: rollup, members, or both. Months that maintain() has dropped are '
    'checked against the totals it kept. Buckets of a week or longer, which include them, are checked one by one. The minutes, hours and '
    'days of a dropped month are checked only as their sum: what is month, and bucket_start the month''s. Buckets that include a partition '
    'dropped by hand are not checked. Raises UM001 for an unknown metric, 22023 for a blank subject, 40001 if events were moved to other '
    'partitions since the snapshot was taken, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT count(*) AS drifts FROM meter.verify(''acct_1'');';

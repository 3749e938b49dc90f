-- All that can be found out before the rows of the series are locked: recorders wait from then on.
create or replace function _plan_buckets(steps correction_step[])
returns bucket_plan
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_plan  bucket_plan;
    v_whole correction_step[];
begin
    v_plan.sums := array(select s from _step_sums(steps) s);
    v_plan.left_out := '{}';
    v_plan.recorded := '{}';
    v_plan.members := '{}';
    if not exists (select from unnest(v_plan.sums) s where s.aggregate in ('min', 'max', 'last', 'unique')) then
        return v_plan;
    end if;
    v_whole := array(
        select s from unnest(steps) s join metrics m on m.key = s.metric
        where s.kind is not null and m.aggregate in ('min', 'max', 'last', 'unique'));
    v_plan.left_out := _planned_left_out(v_whole, v_plan.sums);
    v_plan.recorded := array(
        select (p.bucket_start, null, null, p.series_id, 0, p.bucket, null, p.lowest, p.highest, p.latest)::rollups
        from (
            select s.series_id, m.fine_bucket as bucket, _bucket_start(m.fine_bucket, s.at) as bucket_start,
                   min(s.quantity) filter (where m.aggregate = 'min') as lowest, max(s.quantity) filter (where m.aggregate = 'max') as highest,
                   max(_latest(s.at, s.event_id, s.quantity)) filter (where m.aggregate = 'last') as latest
            from unnest(v_whole) s
            join metrics m on m.key = s.metric
            where s.kind = 'usage' and m.aggregate <> 'unique'
            group by 1, 2, 3
        ) p);
    v_plan.members := array(
        select (p.series_id, p.fine_bucket, p.coarse_bucket, p.fine_start, p.unit, p.member, _digest(p.member), p.is_recorded)::planned_member
        from (
            select s.series_id, m.fine_bucket, m.coarse_bucket, _bucket_start(m.fine_bucket, s.at) as fine_start,
                   _seen_unit(m.period, m.rollup) as unit, s.member, bool_or(s.kind = 'usage') as is_recorded
            from unnest(v_whole) s
            join metrics m on m.key = s.metric
            where m.aggregate = 'unique'
            group by 1, 2, 3, 4, 5, 6
        ) p);
    return v_plan;
end
$$;

comment on function _plan_buckets(correction_step[]) is 'What is known of the buckets that a correction changes, before they are locked.';

-- Rows are added up by fine bucket first: coarse ones are sums of these.
create or replace function _step_sums(steps correction_step[])
returns setof bucket_sum
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with fine as materialized (
        select s.metric, s.subject, s.series_id, m.aggregate, m.fine_bucket, m.coarse_bucket, _bucket_start(m.fine_bucket, s.at) as fine_start,
               sum(s.counts)::bigint as counts, max(s.at) as last_at, sum(s.quantity) as quantity
        from unnest(steps) s
        join metrics m on m.key = s.metric
        where s.kind is not null
        group by 1, 2, 3, 4, 5, 6, 7
    )
    select f.metric, f.subject, f.aggregate, f.series_id, b.bucket, b.bucket_start, b.bucket = f.fine_bucket, sum(f.counts)::bigint,
           max(f.last_at), sum(f.quantity)
    from fine f
    cross join lateral (
        select f.fine_bucket as bucket, f.fine_start as bucket_start
        union all
        select f.coarse_bucket, _bucket_start(f.coarse_bucket, f.fine_start) where f.coarse_bucket <> f.fine_bucket
    ) b
    group by f.metric, f.subject, f.aggregate, f.series_id, b.bucket, b.bucket_start, f.fine_bucket;
end
$$;

comment on function _step_sums(correction_step[]) is 'What rows that a correction writes add to each bucket.';

-- An event that a void takes back does not count, nor does the void. A void of a void lets the event count again. The rows of the correction are left
-- out, too, whether they are in the log already or not.
create or replace function _planned_left_out(steps correction_step[], sums bucket_sum[])
returns bigint[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_again bigint[] := array(
        select k.corrects
        from unnest(steps) s
        cross join lateral (select k.corrects from event_kinds k where k.event_id = s.corrects and k.kind = 'void' offset 0) k
        where s.kind = 'void');
begin
    return array(
        select u.event_id
        from (
            select s.series_id, min(s.bucket_start) as since, max(_bucket_end(s.bucket, s.bucket_start)) as until
            from unnest(sums) s
            where s.aggregate in ('min', 'max', 'last', 'unique')
            group by 1
        ) i
        cross join lateral unnest((_uncounted_rows(i.series_id, i.since, i.until)).left_out) u (event_id)
        where u.event_id not in (select unnest(v_again))
        union all
        select u.event_id
        from unnest(steps) s
        cross join lateral (values (s.event_id), (case when s.kind = 'void' then s.corrects end)) u (event_id)
        where u.event_id is not null);
end
$$;

comment on function _planned_left_out(correction_step[], bucket_sum[]) is
    'The ids of the rows of the log that do not count once a correction has written its rows, and of these themselves.';

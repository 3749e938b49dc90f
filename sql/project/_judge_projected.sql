-- A subject that has used nothing for 28 days is expected to use nothing more, so it is not looked at: 29, because the last bucket may be a day long.
create or replace function _judge_projected_page(
    metric text, after_subject text, max_subjects integer, now timestamptz, out fired bigint, out judged integer, out last_subject text,
    out failed bigint, out problem text
)
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_sort to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_metric   metrics := (select m from metrics m where m.key = _judge_projected_page.metric);
    v_after    text := coalesce(_judge_projected_page.after_subject, '');
    v_recent   timestamptz := _judge_projected_page.now - interval '29 days';
    v_all      boolean := _is_projected_for_all(_judge_projected_page.metric, _judge_projected_page.now);
    v_subjects text[];
    v_subject  text;
begin
    fired := 0;
    failed := 0;
    if v_all then
        v_subjects := array(
            select s.subject from series s
            where s.metric = v_metric.key and s.subject > v_after and s.stripe = 0 and (s.newest_start >= v_recent or s.has_stripes)
              and ((select _all_here()) or _is_home(s.subject))
            order by s.subject
            limit _judge_projected_page.max_subjects);
    else
        v_subjects := array(
            select distinct l.subject from limits l
            where l.metric = v_metric.key and l.projected and l.subject > v_after and exists (
                select from series s
                where s.metric = l.metric and s.subject = l.subject and s.stripe = 0 and (s.newest_start >= v_recent or s.has_stripes)
                offset 0)
              and ((select _all_here()) or _is_home(l.subject))
            order by l.subject
            limit _judge_projected_page.max_subjects);
    end if;
    foreach v_subject in array v_subjects loop
        begin
            fired := fired + _judge_projected(v_metric, v_subject, _judge_projected_page.now);
        exception when others then  -- those after it are judged all the same
            failed := failed + 1;
            problem := format('%s (%s)', sqlerrm, sqlstate);
        end;
    end loop;
    judged := cardinality(v_subjects);
    last_subject := case when judged = _judge_projected_page.max_subjects then v_subjects[judged] end;
end
$$;

comment on function _judge_projected_page(text, text, integer, timestamptz) is
    'Judges the next subjects of a metric. fired: how many marks; judged: how many subjects; last_subject: after which the next page begins, null: '
    'there are no others. failed: how many could not be judged; problem: why the last of them could not.';

create or replace function _is_projected_for_all(metric text, now timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return exists (
        select from limits l
        where l.metric = _is_projected_for_all.metric and l.subject is null and l.projected and not l.removed and l.since <= _is_projected_for_all.now
          and not exists (
            select from limits o
            where o.metric = l.metric and o.subject is null and o.plan is not distinct from l.plan and o.name = l.name and o.period = l.period
              and o.since <= _is_projected_for_all.now and (o.since, o.limit_id) > (l.since, l.limit_id)));
end
$$;

comment on function _is_projected_for_all(text, timestamptz) is
    'Whether a limit with projected marks of a plan or of everyone holds: then every subject of the metric is looked at.';

-- The usual subject has no mark left to fire, or is far from it. Only the others are projected.
create or replace function _judge_projected(metric metrics, subject text, now timestamptz)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_metric     metrics := _judge_projected.metric;
    v_limit      record;
    v_projection usage_projection;
    v_fired      record;
    v_count      bigint := 0;
begin
    for v_limit in
        select e as row, a.marks
        from _effective_limits(v_metric, _judge_projected.subject, _judge_projected.now, _judge_projected.now) e
        cross join lateral (
            select array(
                select k from unnest(e.marks) k
                where not exists (
                    select from fired_marks f
                    where f.limit_id = e.limit_id and f.subject = _judge_projected.subject and f.period_start = e.since
                      and f.kind in ('mark', 'projected') and f.mark = k)
                order by k) as marks
            offset 0
        ) a
        where e.counts and e.projected and e.action <> 'none' and e.quota is not null and a.marks <> '{}'
        order by e.limit_id
    loop
        continue when not _may_reach(v_metric, _judge_projected.subject, (v_limit.row).since, (v_limit.row).until, _judge_projected.now,
                                     (v_limit.row).quota * v_limit.marks[1] / 100);
        v_projection := _projected_period(v_metric, _judge_projected.subject, (v_limit.row).since, (v_limit.row).until, _judge_projected.now);
        for v_fired in
            insert into fired_marks (limit_id, subject, period_start, kind, mark)
            select (v_limit.row).limit_id, _judge_projected.subject, (v_limit.row).since, 'projected', k
            from unnest(v_limit.marks) k
            where v_projection.expected >= (v_limit.row).quota * k / 100 and v_projection.used < (v_limit.row).quota * k / 100
            order by k
            on conflict do nothing
            returning mark
        loop
            perform _notify('threshold.projected', _judge_projected.subject, v_metric.key,
                            _projected_mark_data(v_limit.row, v_projection, v_fired.mark));
            v_count := v_count + 1;
        end loop;
    end loop;
    return v_count;
end
$$;

comment on function _judge_projected(metrics, text, timestamptz) is
    'Writes threshold.projected for the marks of a subject''s limits that its expected usage reaches; returns how many.';

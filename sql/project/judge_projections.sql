create or replace function judge_projections(now timestamptz default now(), max_subjects integer default 1000)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := clock_timestamp() + interval '3 seconds';
    v_left    integer := judge_projections.max_subjects;
    v_metrics text[] := '{}';
    v_round   projection_rounds;
    v_page    record;
    v_count   bigint := 0;
begin
    if _is_open('judge_projections') then perform _check_caller('judge_projections'); end if;
    perform _check_time('now', judge_projections.now, required => true), _check_max_rows(judge_projections.max_subjects),
        _check_read_committed('judging'), _keep_homes();
    if not _is_only_judge() then
        return 0;
    end if;
    insert into projection_rounds (metric)
    select m.key
    from metrics m
    where exists (select from limits l where l.metric = m.key and l.projected offset 0)
    order by m.key
    on conflict do nothing;
    while v_left > 0 and clock_timestamp() < v_give_up loop
        select p.* into v_round
        from projection_rounds p
        where p.metric <> all (v_metrics)
        order by p.judged_at nulls first, p.metric
        limit 1;
        exit when not found;
        v_metrics := v_metrics || v_round.metric;
        if v_round.after_subject is null then
            v_round.failed := 0;
            v_round.problem := null;
        end if;
        loop
            select * into v_page
            from _judge_projected_page(v_round.metric, v_round.after_subject, least(v_left, 100), judge_projections.now);
            v_count := v_count + v_page.fired;
            v_left := v_left - v_page.judged;
            v_round.after_subject := v_page.last_subject;
            v_round.failed := v_round.failed + v_page.failed;
            v_round.problem := coalesce(v_page.problem, v_round.problem);
            exit when v_page.last_subject is null or v_left <= 0 or clock_timestamp() >= v_give_up;
        end loop;
        update projection_rounds p set
            after_subject = v_round.after_subject, judged_at = clock_timestamp(), failed = v_round.failed, problem = v_round.problem
        where p.metric = v_round.metric;
    end loop;
    perform _check_snapshot();
    return v_count;
end
$$;

comment on function judge_projections(timestamptz, integer) is
    'Projects usage to the end of the period of each limit with projected marks, and writes threshold.projected for a mark that the expected usage '
    'reaches and usage has not: once for a version of a limit, subject and period. Returns how many it wrote. It judges max_subjects subjects (1 to '
    '10000; one with two metrics counts twice), or as many as it can in about 3 seconds, and the next call goes on with the others; while another '
    'call judges, none. A subject that cannot be judged is left out, and health() says so. Recording does not wait for it. Call it every minute, as '
    'pymeter notify --watch does, or from cron. Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, '
    '40001 as usage() does. Example: SELECT meter.judge_projections();';

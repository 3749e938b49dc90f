-- Polled with health(): everything is counted up to a bound.
create or replace function _overdue_subjects(now timestamptz)
returns bigint
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_late timestamptz := _add_duration(now, _parse_duration(_setting_value('grace')), -1, 'UTC') - interval '24 hours';
begin
    if not exists (select from statements) then
        return 0;
    end if;
    return (
        select count(*)
        from (
            (select s.statements from sealed_subjects s
             where s.postponed_at = '-infinity' and s.due_at > '-infinity' and s.due_at <= v_late
               and ((select _all_here()) or _is_home(s.subject)) limit 10000)
            union all
            (select s.statements from sealed_subjects s
             where s.postponed_at > '-infinity' and s.due_at > '-infinity' and s.due_at <= v_late
               and ((select _all_here()) or _is_home(s.subject)) limit 10000)
        ) s
        where s.statements > 0);
end
$$;

comment on function _overdue_subjects(timestamptz) is
    'How many subjects have been closed before, and should have been again more than a day ago; of each kind, at most 10,000 are looked at.';

create or replace function _closing_problems(now timestamptz)
returns setof text
language sql
stable
set search_path from current
as $$
    select format('subjects whose billing cycle has ended more than a day ago and is not closed: %s', n)
    from _overdue_subjects(_closing_problems.now) n
    where n > 0
$$;

comment on function _closing_problems(timestamptz) is
    'What keeps close_due() from being done: subjects that have been closed before, and whose next cycle should have been a day ago.';

create or replace function _undecided_late_lines()
returns bigint
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select count(*)
    from (
        select n.statement_id, n.metric, n.quantity
        from late_notices n
        where (select _all_here()) or exists (
            select from statements t join sealed_subjects w on w.subject_id = t.subject_id
            where t.statement_id = n.statement_id and _is_here(w.subject))
        limit 10000
    ) n
    cross join lateral (
        select coalesce(sum(d.quantity), 0) as decided from late_decisions d
        where d.statement_id = n.statement_id and d.metric = n.metric
        offset 0
    ) d
    where d.decided <> n.quantity
$$;

comment on function _undecided_late_lines() is
    'How many lines of statements have late usage that maintain() has told of and nobody has decided; at most 10,000 are looked at.';

create or replace function _closing_notices()
returns setof text
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_number bigint;
begin
    select count(*) into v_number
    from (select from sealed_subjects s where s.postponed_at > '-infinity' and ((select _all_here()) or _is_here(s.subject)) limit 10000) s;
    if v_number > 0 then
        return next format('subjects whose period could not be closed: %s; close_due() says why', v_number);
    end if;
    select count(*) into v_number
    from (select t.subject_id, t.since from statements t order by t.statement_id desc limit 1000) t
    cross join lateral (
        select max(o.until) as until from statements o where o.subject_id = t.subject_id and o.until <= t.since offset 0
    ) o
    where o.until < t.since;
    if v_number > 0 then
        return next format('gaps between statements, among the 1,000 closed last: %s', v_number);
    end if;
    v_number := _undecided_late_lines();
    if v_number > 0 then
        return next format('lines of statements with late usage that is not decided: %s; late_usage() lists them', v_number);
    end if;
end
$$;

comment on function _closing_notices() is
    'What somebody should look at: postponed periods, gaps between statements, and late usage that maintain() has told of and is not decided.';

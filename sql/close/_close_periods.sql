-- Buckets are compared with the log before anybody has to wait. What is stated is then read from the buckets, under the locks.
create or replace function _close_periods(closings closing[])
returns setof bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_latest  timestamptz;
    v_sealed  sealed_subjects[];
    v_headers statements[];
    v_lines   statement_lines[];
begin
    perform _hold_carry();
    -- Rows may be from a server whose clock was ahead. A statement holds them, so they are not later than its watermark.
    v_latest := _check_no_drift(closings);
    v_sealed := array(select w from _draw_watermarks(array(select c.subject from unnest(closings) c), v_latest) w);
    perform _check_not_overlapping(closings), _check_no_open_hold(closings), _decide_by_setting(v_sealed);
    v_headers := array(
        select (nextval('statement_ids'), c.since, c.until, clock_timestamp(), w.watermark, w.subject_id, 1, _session_role(), p.part_starts,
                p.part_weights, p.cycle_weight, w.last_hash, '')::statements
        from unnest(closings) c
        join unnest(v_sealed) w on w.subject = c.subject
        cross join lateral _cycle_parts(c.subject, c.since, c.until) p);
    v_lines := array(select l from _lines_to_write(v_headers, v_sealed) l);
    v_headers := array(select h from _hashed(v_headers, v_sealed, v_lines) h);
    insert into statements select h.* from unnest(v_headers) h;
    insert into statement_lines select l.* from unnest(v_lines) l;
    update late_decisions d set billed_on = h.statement_id
    from unnest(v_headers) h, statements t
    where t.subject_id = h.subject_id and d.statement_id = any (array[t.statement_id]) and d.billed_on is null and d.decision = 'bill';
    update sealed_subjects s set
        statements = s.statements + 1, last_hash = h.hash, due_at = greatest(s.due_at, upper(_cycle_at(s.subject, h.until))),
        postponed_at = '-infinity'
    from unnest(v_headers) h
    where s.subject_id = any (array[h.subject_id]);
    perform _notify('period.closed', w.subject, null, jsonb_build_object(
                'statement_id', h.statement_id, 'since', h.since, 'until', h.until, 'hash', encode(h.hash, 'hex')))
    from unnest(v_headers) h
    join unnest(v_sealed) w on w.subject_id = h.subject_id;
    return query select h.statement_id from unnest(v_headers) h;
end
$$;

comment on function _close_periods(closing[]) is
    'Closes one period for each of different subjects, and returns the ids of the statements. Raises as close_period() does, and 55P03 if a lock is '
    'not had within 300 milliseconds.';

create or replace function _lines_to_write(headers statements[], sealed sealed_subjects[])
returns setof statement_lines
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select n.statement_id, n.late_of, n.event_count, n.since, n.until,
           (row_number() over (partition by n.statement_id order by n.kind desc, n.since, n.metric))::integer, n.kind, n.metric, n.aggregate,
           n.unit, n.quantity
    from (
        select h.statement_id, null::bigint as late_of, u.event_count, h.since, h.until, 'usage' collate "C" as kind, u.metric, u.aggregate, u.unit,
               u.quantity
        from _closing_usage(headers, sealed) u
        join unnest(headers) h on h.statement_id = u.statement_id
        union all
        select h.statement_id, l.late_of, 0, l.since, l.until, 'late', l.metric, l.aggregate, l.unit, l.quantity
        from unnest(headers) h
        cross join lateral _late_to_bill(h.subject_id) l
    ) n;
end
$$;

comment on function _lines_to_write(statements[], sealed_subjects[]) is
    'The lines of new statements: a usage line for each metric that is in use or was used, in the order of the metrics'' keys, then late lines.';

create or replace function _late_to_bill(subject_id integer)
returns table (late_of bigint, since timestamptz, until timestamptz, metric text, aggregate text, unit text, quantity numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select t.statement_id, t.since, t.until, m.key, m.aggregate, m.unit, d.quantity
    from statements t
    cross join lateral (
        select d.metric, trim_scale(sum(d.quantity)) as quantity
        from late_decisions d
        where d.statement_id = t.statement_id and d.decision = 'bill' and d.billed_on is null
        group by 1
        offset 0
    ) d
    join metrics m on m.key = d.metric
    where t.subject_id = _late_to_bill.subject_id and d.quantity <> 0;
end
$$;

comment on function _late_to_bill(integer) is 'What has been decided to be billed to a subject and is on no statement yet, by statement and metric.';

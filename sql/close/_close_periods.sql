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
    v_new     new_statement[];
begin
    perform _hold_carry();
    -- Rows may be from a server whose clock was ahead. A statement holds them, so they are not later than its watermark.
    v_latest := greatest(_check_no_drift(closings), _latest_change(array(select c.subject from unnest(closings) c)));
    v_sealed := array(select w from _draw_watermarks(array(select c.subject from unnest(closings) c), v_latest) w);
    perform _check_not_overlapping(closings), _check_no_open_hold(closings), _decide_by_setting(v_sealed);
    v_new := array(select n from _new_statements(closings, v_sealed) n);
    insert into statements select (n.header).* from unnest(v_new) n;
    insert into statement_lines select l.* from unnest(v_new) n, unnest(n.lines) l;
    perform _write_payments(v_new, v_sealed), _queue_statements(array(
        select (n.header).statement_id from unnest(v_new) n where (n.header).format = 2));
    update late_decisions d set billed_on = (n.header).statement_id
    from unnest(v_new) n, statements t
    where t.subject_id = (n.header).subject_id and d.statement_id = any (array[t.statement_id]) and d.billed_on is null and d.decision = 'bill';
    update sealed_subjects s set
        statements = s.statements + 1, last_hash = (n.header).hash, due_at = greatest(s.due_at, upper(_cycle_at(s.subject, (n.header).until))),
        postponed_at = '-infinity'
    from unnest(v_new) n
    where s.subject_id = any (array[(n.header).subject_id]);
    perform _notify('period.closed', w.subject, null, jsonb_build_object(
                'statement_id', (n.header).statement_id, 'since', (n.header).since, 'until', (n.header).until,
                'hash', encode((n.header).hash, 'hex'), 'totals', _totals(n.lines)))
    from unnest(v_new) n
    join unnest(v_sealed) w on w.subject_id = (n.header).subject_id;
    return query select (n.header).statement_id from unnest(v_new) n;
end
$$;

comment on function _close_periods(closing[]) is
    'Closes one period for each of different subjects, and returns the ids of the statements. Raises as close_period() does, and 55P03 if a lock is '
    'not had within 300 milliseconds.';

create or replace function _totals(lines statement_lines[])
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select coalesce(jsonb_object_agg(l.currency, l.amount::text), '{}') from unnest(lines) l where l.kind = 'total'
$$;

comment on function _totals(statement_lines[]) is 'The totals of a statement by currency, as texts; null where one is unknown.';

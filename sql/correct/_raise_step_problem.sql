create or replace function _raise_step_problem(steps correction_step[])
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_step    correction_step;
    v_problem record;
    v_archive archives;
begin
    select * into v_step from unnest(steps) s where s.outcome not in ('applied', 'duplicate', 'conflict') order by s.ordinal limit 1;
    if v_step.outcome is not null then
        -- Of an event that was named by its id alone, nobody knows the month.
        if v_step.outcome = 'event_dropped' then
            v_archive := _archive_of_month(_bucket_start('month', v_step.at), v_step.event_id);
        elsif v_step.outcome = 'event_unknown' and v_step.at is null then
            v_archive := _archive_of_event(v_step.subject, v_step.metric, v_step.event_id);
        end if;
        select * into v_problem from _entry_problems() p
        where p.code = case when v_archive.archive_id is null then v_step.outcome else 'event_dropped' end;
        raise exception using
            errcode = v_problem.sqlstate, message = v_problem.message, hint = _restore_hint(v_archive, v_problem.hint), column = v_problem.parameter,
            -- The only entry needs no number: void_event(), amend_event() and adjust() have no other.
            detail = case when (select max(s.ordinal) from unnest(steps) s) > 1 then format('Entry %s: ', v_step.ordinal) else '' end
                || concat_ws(', ', 'event ' || v_step.event_id, 'idempotency_key ' || quote_literal(left(v_step.idempotency_key, 80)),
                    'subject ' || quote_literal(left(v_step.subject, 80)), 'metric ' || quote_literal(left(v_step.metric, 80)),
                    'quantity ' || left(v_step.quantity::text, 40), 'member ' || quote_literal(left(v_step.member, 80)),
                    'at ' || to_char(v_step.at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                    'file ' || v_archive.file_name) || '.';
    end if;
end
$$;

comment on function _raise_step_problem(correction_step[]) is 'Raises the error of the first entry that cannot be applied.';

create or replace function _entry_problems()
returns table (code text, sqlstate text, parameter text, message text, hint text)
language sql
stable
set search_path from current
as $$
    select * from _problems()
    union all
    values
        ('event_unknown', 'UM007', 'event_id', 'no such event',
         'Look it up with events(). An event is named by its event_id or by its idempotency_key, with its subject and metric.'),
        ('event_dropped', 'UM006', 'event_id', 'the month of the event was dropped', 'Correct the total with adjust().'),
        ('event_is_void', '22023', 'event_id', 'the event is a void', 'Take the correction back with revert_correction().'),
        ('event_is_adjustment', '22023', 'event_id', 'an adjustment cannot be amended', 'Void it, and adjust anew.'),
        ('adjusts_no_sum', 'UM002', 'metric', 'only a sum or count can be adjusted', 'Void or amend events instead.')
$$;

comment on function _entry_problems() is 'The problems that an entry of a correction can have: those of events, and its own.';

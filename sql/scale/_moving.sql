-- What the functions that open and close a home have in common.
create or replace function _check_run(subject text, run uuid, states text[])
returns moves
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    perform _check_read_committed('moving a subject'), _check_name('subject', _check_run.subject, 512);
    select * into v_move from moves m where m.subject = _check_run.subject for update;
    if v_move.subject is not null and _check_run.run is not null and v_move.run is distinct from _check_run.run then
        raise exception using
            errcode = '55000', message = 'another run moves the subject', column = 'run',
            detail = format('subject %s.', quote_literal(left(_check_run.subject, 80))),
            hint = 'Nothing was changed. Let it finish, or end its process and run pymeter shard move again.';
    elsif v_move.state <> all (states) then
        raise exception using
            errcode = '55000', message = 'the move of the subject is in another state', column = 'subject',
            detail = format('subject %s, state %s, shard %s.', quote_literal(left(_check_run.subject, 80)), v_move.state, v_move.other),
            hint = 'Nothing was changed. moves() shows the state; pymeter shard move continues a move that was interrupted.';
    end if;
    return v_move;
exception when lock_not_available then
    perform _raise_busy(format('subject %s', quote_literal(left(_check_run.subject, 80))));
end
$$;

comment on function _check_run(text, uuid, text[]) is
    'Locks and returns the row of a subject in moves, or a null if it has none. Raises 22004 or 22023 for a bad name, 25001 in a '
    'transaction with one snapshot, 55000 if another run moves the subject or the state is another, 55P03 after 5 seconds.';

create or replace function _check_target(subject text, target text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves := _check_run(_check_target.subject, null, '{closing}');
begin
    if v_move.other <> _check_target.target then
        raise exception using
            errcode = '55000', message = 'the subject is being moved to another target', column = 'target',
            detail = format('subject %s, shard %s.', quote_literal(left(_check_target.subject, 80)), v_move.other),
            hint = 'Nothing was changed. Finish that move, or call reopen_home() first.';
    end if;
end
$$;

comment on function _check_target(text, text) is 'Locks the row of a subject in moves. Raises 55000 if it is not at home here or moves elsewhere.';

create or replace function _check_closed(subject text, run uuid)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    if (_check_run(subject, run, '{closing}')).state is null then
        raise exception using errcode = '55000', message = 'the subject was reopened', column = 'subject',
            detail = format('subject %s.', quote_literal(left(subject, 80))), hint = 'It is recorded here. Run the command again.';
    end if;
end
$$;

comment on function _check_closed(text, uuid) is 'Locks the row of a subject in moves. Raises 55000 unless that run has closed it.';

create or replace function _note_move(subject text, state text, other text, run uuid)
returns moves
language sql
volatile
set search_path from current
as $$
    insert into moves as m (subject, state, other, run) values (subject, state, other, run)
    on conflict (subject) do update set
        state = excluded.state, other = excluded.other, run = coalesce(excluded.run, m.run), changed_at = clock_timestamp(),
        started_at = case when excluded.state = 'moved' then m.started_at else clock_timestamp() end
    returning m
$$;

comment on function _note_move(text, text, text, uuid) is 'Writes the row of a subject in moves, and returns it.';

create or replace function _subject_rows(subject text)
returns table (series_id integer, stripe smallint)
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
        select s.series_id, s.stripe
        from metrics m
        cross join lateral (
            select s.series_id, s.stripe from series s where s.metric = m.key and s.subject = _subject_rows.subject offset 0
        ) s
        order by 1, 2;
end
$$;

comment on function _subject_rows(text) is 'The rows of series of a subject, in lock order.';

-- Everything is given up now and then, as in _mark_series(): recorders wait for a quarter of a second at most, and none of them is the one whom
-- PostgreSQL ends if it holds a row and waits for the subject.
create or replace function _close_subject(subject text, wait interval)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '50ms'
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := clock_timestamp() + _close_subject.wait;
    v_millis  integer := 50;
    v_row     record;
begin
    insert into locks (name) values (_home_lock(_close_subject.subject)), ('homes') on conflict do nothing;
    loop
        begin
            perform from locks l where l.name in (_home_lock(_close_subject.subject), 'homes') order by l.name for update;
            for v_row in select * from _subject_rows(_close_subject.subject) loop
                update series s set is_ordinary = false, revision = 0 where s.series_id = v_row.series_id and s.stripe = v_row.stripe;
            end loop;
            return;
        exception when lock_not_available or deadlock_detected then
            null;
        end;
        exit when clock_timestamp() > v_give_up;
        perform pg_sleep_for('100 ms');
        v_millis := least(v_millis * 2, 250);
        perform set_config('lock_timeout', v_millis || 'ms', true);
    end loop;
    raise exception using
        errcode = '55P03', message = 'other transactions have written for the subject and are still open', column = 'subject',
        detail = format('subject %s, waited %s.', quote_literal(left(_close_subject.subject, 80)), _close_subject.wait),
        hint = 'Nothing was changed, and recording continues. Try again, or end these transactions first; pg_stat_activity shows them.';
end
$$;

comment on function _close_subject(text, interval) is
    'Locks a subject and the rows of its series, and marks these, so that whoever records looks into moves. Who has written for the subject before '
    'has committed then. Raises 55P03 after wait.';

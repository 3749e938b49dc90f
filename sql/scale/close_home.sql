-- The barrier: who passed the gate before it was closed holds a lock on the log or the keys until its transaction ends. An id of a transaction is
-- no help: one that has yet to write has none.
create or replace function _log_barrier(wait interval)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_give_up timestamptz := clock_timestamp() + wait;
    v_holders text[] := array(
        select distinct l.virtualtransaction from pg_locks l
        where l.database = (select oid from pg_database where datname = current_database()) and l.granted and l.mode = 'RowExclusiveLock'
          and l.pid is distinct from pg_backend_pid()
          and l.relation in (
              select c.oid from pg_class c where c.relnamespace = quote_ident(current_schema())::regnamespace
              and (c.relname in ('keys', 'events') or c.oid in (select i.inhrelid from pg_inherits i where i.inhparent = 'events'::regclass))));
begin
    loop
        perform pg_stat_clear_snapshot();
        exit when not exists (select from pg_locks l where l.virtualtransaction = any (v_holders));
        if clock_timestamp() > v_give_up then
            raise exception using errcode = '55P03', message = 'transactions that may record for the subject are open',
                hint = 'Nothing was changed. Try again after they have ended; pg_stat_activity and pg_prepared_xacts show them.';
        end if;
        perform pg_sleep(0.005);
    end loop;
end
$$;

comment on function _log_barrier(interval) is
    'Waits for the transactions that have written to the log or the keys, and have not ended. Raises 55P03 after the given time.';

create or replace function _check_run(subject text, run uuid, states text[])
returns moves
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    select * into v_move from moves m where m.subject = _check_run.subject for update;
    if v_move.run <> _check_run.run then
        raise exception using errcode = '55000', message = 'another run moves the subject', detail = format('subject %s.', quote_literal(subject)),
            hint = 'Let it finish, or end its process and run the command again.';
    elsif v_move.state <> all (states) then
        raise exception using errcode = '55000', message = 'the move of the subject is in another state',
            detail = format('subject %s, state %s.', quote_literal(subject), v_move.state), hint = 'Run: pymeter shard move';
    end if;
    return v_move;
end
$$;

comment on function _check_run(text, uuid, text[]) is 'Locks the row of a move; raises 55000 if another run has taken over, or the state is another.';

create or replace function close_home(subject text, target text, wait interval default '5 seconds', run uuid default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
begin
    if _is_open('close_home') then perform _check_caller('close_home'); end if;
    perform _check_run(close_home.subject, null, '{closing}');
    insert into moves (subject, state, other, run) values (close_home.subject, 'closing', close_home.target, close_home.run)
    on conflict (subject) do update set other = excluded.other, run = excluded.run, changed_at = clock_timestamp();
    update series s set is_ordinary = false where s.series_id in (select i.series_id from _subject_series(close_home.subject, null) i);
end
$$;

comment on function close_home(text, text, interval, uuid) is 'Lets nothing be recorded for a subject any more.';

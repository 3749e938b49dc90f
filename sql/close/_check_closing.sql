-- A transaction with an older snapshot would not see what its locks have waited for. maintain() may be moving events to other partitions.
create or replace function _check_closing()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _check_read_committed('closing');
    lock table only events in access share mode;
end
$$;

comment on function _check_closing() is
    'Waits for the log, whose events stay in their partitions until the transaction ends. Raises 25001 in a REPEATABLE READ or SERIALIZABLE '
    'transaction.';

create or replace function _raise_subject_busy(subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = '55P03', message = 'transactions that record for the subject are open',
        detail = format('subject %s.', quote_literal(left(_raise_subject_busy.subject, 80))),
        hint = 'Nothing was changed. Try again after they have ended; pg_stat_activity and pg_prepared_xacts show them.';
end
$$;

comment on function _raise_subject_busy(text) is 'Raises 55P03: the series of a subject could not be locked in time.';

-- define_metric() locks the row of a metric before it looks for statements.
create or replace function _hold_carry()
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '300ms'
as $$
#variable_conflict use_column
begin
    perform from metrics m where m.aggregate = 'last' order by m.key for share;
end
$$;

comment on function _hold_carry() is
    'Locks the metrics that may have carry against changes, until the transaction ends. Raises 55P03 if that takes 300 milliseconds.';

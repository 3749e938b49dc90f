-- A transaction with an older snapshot would not see what its locks have waited for. maintain() may be moving events to other partitions.
create or replace function _check_closing()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'closing needs a READ COMMITTED transaction',
            hint = 'Use a transaction of its own: an older snapshot may miss what others have just committed.';
    end if;
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

create or replace function _check_after_statements(subject text, since timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_until timestamptz := (
        select max(t.until)
        from sealed_subjects s join statements t on t.subject_id = s.subject_id
        where s.subject = _check_after_statements.subject);
begin
    if _check_after_statements.since < v_until then
        raise exception using
            errcode = 'UM004', message = 'a period after that time is closed', column = 'since',
            detail = format('subject %s: closed up to %s.', quote_literal(left(_check_after_statements.subject, 80)),
                            to_char(v_until at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Statements are final: pass that time, or a later one, as since.';
    end if;
end
$$;

comment on function _check_after_statements(text, timestamptz) is 'Raises UM004 if the subject has a statement that ends after the instant.';

create or replace function erase_subject(subject text, pseudonym text)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_attempts  integer := 0;
    v_mentioned boolean;
    v_keys      uuid[];
begin
    if _is_open('erase_subject') then perform _check_caller('erase_subject'); end if;
    perform _check_name('subject', erase_subject.subject), _check_name('pseudonym', erase_subject.pseudonym, 512), _check_read_committed('erasing');
    perform _enter_erased(erase_subject.subject, erase_subject.pseudonym);
    v_mentioned := _is_mentioned(erase_subject.subject);
    perform _unbind_subject(erase_subject.subject), _lock_for_erasing(erase_subject.subject);
    if v_mentioned and not _is_known_subject(erase_subject.subject) then
        perform _erase_admin_log(erase_subject.subject, erase_subject.pseudonym);
        return 0;
    end if;
    perform _check_erased_names(erase_subject.subject, erase_subject.pseudonym);
    v_keys := _dropped_keys(erase_subject.subject);
    loop
        v_attempts := v_attempts + 1;
        begin
            return _erase(erase_subject.subject, erase_subject.pseudonym, v_keys);
        exception
            when lock_not_available or deadlock_detected then
                exit when v_attempts = 3;
            when unique_violation then
                perform _raise_pseudonym_taken(erase_subject.pseudonym);
        end;
    end loop;
    perform _raise_subject_busy(erase_subject.subject);
end
$$;

comment on function erase_subject(text, text) is
    'Removes a subject''s text, the members, idempotency keys and metadata of its events, and the reasons given for its corrections, top-ups and '
    'late usage, from every table, for ever; returns how many rows of the log it rewrote. Quantities, times, totals, limits, holds and statements '
    'stay, under the pseudonym, a text of 1 to 512 characters that is no subject yet. A member becomes a random text, so distinct counts stay. The '
    'hashes of statements stay valid. Old retries with the erased text and key remain duplicates; what is recorded under the erased text later '
    'begins a new subject. Roles that were bound to the subject no longer are. The subject''s recording waits until the transaction ends; nobody '
    'else''s does. Of a subject that has moved to another shard it erases the texts of the copy that is here. It is the only function that changes '
    'the log, and cannot be undone; sql/close/README.md says what it does not reach. Raises 22004 or 22023 for a bad name or a pseudonym that is in '
    'use, UM007 for a subject that is not known (any more), 55000 while a correction of the subject is open, or while something is still to be sent '
    'to a biller whose customer the subject''s text is, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if a transaction that records '
    'for the subject stays open, or maintain(), reporting or a delivery holds a lock for 5 seconds (nothing was changed: try again), UM008 for a '
    'subject that is being moved or a pseudonym that is on another shard. Example: BEGIN; SELECT meter.erase_subject(''acct_1'', ''erased_1'') > 0 '
    'AS erased; SELECT quantity FROM meter.usage(''erased_1'', ''tokens''); ROLLBACK;';

-- A subject that has moved away has left a sealed copy here. Its texts can be erased too, but nothing else: it stays sealed, under the pseudonym, and
-- calls for the pseudonym are sent to the shard where the subject has gone. The row of the move is locked before the home, as expect_subject() does.
create or replace function _enter_erased(subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
begin
    perform from moves m where m.subject = _enter_erased.subject and m.state = 'moved' for update;
    if found then
        perform _enter_homes(array[_enter_erased.subject]), _check_homes(array[_enter_erased.pseudonym]);
        return;
    end if;
    -- Erased before, it is unknown; that its pseudonym is at home elsewhere is no matter.
    if not exists (select from moves m where m.subject = _enter_erased.subject)
        and not _is_known_subject(_enter_erased.subject) and not _is_mentioned(_enter_erased.subject) then
        perform _check_erased_names(_enter_erased.subject, _enter_erased.pseudonym);
    end if;
    perform _check_homes(array[_enter_erased.subject, _enter_erased.pseudonym]);
exception when lock_not_available then
    perform _raise_busy(format('subject %s', quote_literal(left(_enter_erased.subject, 80))));
end
$$;

comment on function _enter_erased(text, text) is
    'Keeps a subject and a pseudonym, or the sealed copy of a subject that has moved, as they are until the transaction ends. Raises UM007 for an '
    'unknown subject, UM008 for one that is being moved, and for a pseudonym that is not at home here; 55P03 after 5 seconds.';

-- Nobody records for it, so no series has to be made.
create or replace function _lock_sealed_copy(subject text)
returns integer[]
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_ids integer[] := array(select s.series_id from _subject_series(_lock_sealed_copy.subject, null) s order by 1);
begin
    perform _lock_corrections(v_ids), _lock_series_soon(v_ids);
    return v_ids;
end
$$;

comment on function _lock_sealed_copy(text) is 'Locks the series of a subject that has moved until the transaction ends, and returns their ids.';

-- Roles are bound on every shard, also on those where the subject has never been.
create or replace function _is_mentioned(subject text)
returns boolean
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_named text := '"subject": ' || to_jsonb(_is_mentioned.subject)::text;
begin
    return exists (select from access_grants g where g.subject = _is_mentioned.subject)
        or exists (select from admin_log l where strpos(l.before::text, v_named) > 0 or strpos(l.after::text, v_named) > 0);
end
$$;

comment on function _is_mentioned(text) is 'Whether a role is bound to a subject, or a change by an administrator tells of it.';

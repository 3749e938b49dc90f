-- maintain() may be moving events to other partitions. Then a statement whose snapshot is from before it waited for the log would see them nowhere.
create or replace function _check_correcting()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _check_read_committed('correcting');
    lock table only events in access share mode;
end
$$;

comment on function _check_correcting() is
    'Waits for the log, whose events stay in their partitions until the transaction ends. Raises 25001 in a REPEATABLE READ or SERIALIZABLE '
    'transaction.';

create or replace function _check_four_eyes(correction corrections)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if _setting_value('four_eyes') = 'true' and (_check_four_eyes.correction).opened_by = _session_role() then
        raise exception using
            errcode = '42501', message = 'the setting four_eyes asks for a second person', column = 'id',
            detail = format('role %s opened correction %s.', quote_literal(_session_role()), (_check_four_eyes.correction).correction_id),
            hint = 'Let another role decide, with the level approve.';
    end if;
end
$$;

comment on function _check_four_eyes(corrections) is
    'Raises 42501 if the setting four_eyes is true and the correction was opened by the role that decides now.';

-- Who stages entries in a correction of another one could approve them alone.
create or replace function _check_opener(correction corrections)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if _setting_value('four_eyes') = 'true' and (_check_opener.correction).opened_by <> _session_role() then
        raise exception using
            errcode = '42501', message = 'with the setting four_eyes, entries are staged by the role that opened the correction', column = 'id',
            detail = format('role %s opened correction %s.', quote_literal((_check_opener.correction).opened_by),
                            (_check_opener.correction).correction_id),
            hint = 'Open one of your own with open_correction().';
    end if;
end
$$;

comment on function _check_opener(corrections) is
    'Raises 42501 if the setting four_eyes is true and the correction was opened by another role than the one that stages entries now.';

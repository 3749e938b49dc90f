create or replace function _check_journal(biller text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_server text := (select j.server from report_journals j where j.biller = _check_journal.biller);
begin
    if v_server <> _journal_server() then
        raise exception using
            errcode = '55000', message = 'reporting is stopped: its journal was used on another server', table = 'report_journals',
            detail = format('biller %s; it was used on %s, this is %s.', quote_literal(_check_journal.biller), v_server, _journal_server()),
            hint = 'It was restored, copied or failed over, and may not know what was sent last. Stop the other server''s reporters, '
                'then run pymeter report adopt, or call adopt_journal().';
    end if;
end
$$;

comment on function _check_journal(text) is
    'Refuses (55000) to go on with a journal that was used on another server, until adopt_journal() is called.';

create or replace function _lock_journal(biller text)
returns report_journals
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_journal report_journals;
begin
    insert into report_journals (biller) values (_lock_journal.biller) on conflict (biller) do nothing;
    update report_journals j set server = coalesce(j.server, _journal_server())
    where j.biller = _lock_journal.biller
    returning * into strict v_journal;
    return v_journal;
end
$$;

comment on function _lock_journal(text) is
    'Returns the journal of a biller, locked until the transaction ends; a new one is noted to be of this server.';

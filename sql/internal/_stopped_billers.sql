create or replace function _stopped_billers()
returns setof text
language sql
stable
set search_path from current
as $$
    select j.biller from report_journals j where j.server <> (select _journal_server()) order by j.biller
$$;

comment on function _stopped_billers() is 'The billers whose journal was used on another server and was not adopted by this one.';

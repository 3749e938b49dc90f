create or replace function report_journal(biller text default 'stripe')
returns report_journal
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_server  text := _journal_server();
    v_journal report_journals;
begin
    if _is_open('report_journal') then perform _check_caller('report_journal'); end if;
    perform _check_name('biller', report_journal.biller, 100);
    select * into v_journal from report_journals j where j.biller = report_journal.biller;
    return (report_journal.biller, coalesce(v_journal.server <> v_server, false), v_journal.server, v_server, v_journal.adopted_at,
            v_journal.doubtful_until,
            coalesce((select b.sends from billers b where b.biller = report_journal.biller), 'usage'))::report_journal;
end
$$;

comment on function report_journal(text) is
    'Which server a biller''s journal was last used on, and whether planning and claiming are stopped because the journal was restored, '
    'copied or failed over; and whether it sends usage or statements. Raises 22004 or 22023 for a bad name. Example: SELECT biller, stopped, '
    'adopted_at FROM meter.report_journal();';

-- Some hosted services do not allow these calls; '-' then stands for the missing part, which distinguishes nothing.
create or replace function _journal_server()
returns text
language plpgsql
stable
set search_path from current
as $$
declare
    v_system   text := '-';
    v_timeline text := '-';
begin
    if pg_is_in_recovery() then
        return null;
    end if;
    begin
        v_system := (select system_identifier from pg_control_system());
        -- pg_control_checkpoint() shows the old timeline until the first checkpoint after a promotion.
        v_timeline := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
    exception when others then
        null;
    end;
    return concat_ws('/', v_system, v_timeline, (select oid from pg_database where datname = current_database()), 'pushes'::regclass::oid);
end
$$;

comment on function _journal_server() is
    'Identifies the server that the journal is on: system identifier, timeline, and the ids of database and table. It changes when the '
    'journal is restored, copied or failed over. Null on a standby.';

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
            errcode = '55000', message = 'reporting is stopped: the journal was last used on another server', table = 'report_journals',
            detail = format('biller %s, last used on %s; this is %s.', quote_literal(_check_journal.biller), v_server, _journal_server()),
            hint = 'It was restored, copied or failed over, and the last pushes may be missing. Stop the other server''s reporters, '
                'then run pymeter report adopt or call adopt_journal().';
    end if;
end
$$;

comment on function _check_journal(text) is
    'Refuses (55000) to use a journal that was last used on another server, until adopt_journal() is called.';

create or replace function _check_adoption(biller text, force boolean)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_server text := (select j.server from report_journals j where j.biller = _check_adoption.biller);
begin
    if force is null then
        raise exception using errcode = '22004', message = 'force is null', column = 'force',
            hint = 'true: adopt the journal although it is not stopped. false: only if it is.';
    end if;
    if not force and (v_server is null or v_server = _journal_server()) then
        raise exception using
            errcode = '55000', message = 'the journal is not stopped, so there is nothing to adopt', table = 'report_journals', column = 'force',
            detail = format('biller %s, %s.', quote_literal(_check_adoption.biller),
                case when v_server is null then 'never used' else 'last used on this server' end),
            hint = 'Reporting works; an adoption would make all usage uncertain that is not planned. If this is a snapshot of a whole '
                'machine, or a backup from before the first plan, which looks like its original: force => true, or '
                'pymeter report adopt --force.';
    end if;
end
$$;

comment on function _check_adoption(text, boolean) is 'Refuses (55000) to adopt a journal that is not stopped, unless force is true.';

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
    'Locks a biller''s journal until the transaction ends and returns it. A new journal is assigned to this server.';

create or replace function _doubtful_journal(biller text, at timestamptz)
returns report_journals
language sql
stable
set search_path from current
as $$
    select j from report_journals j where j.biller = _doubtful_journal.biller and _doubtful_journal.at < j.doubtful_until
$$;

comment on function _doubtful_journal(text, timestamptz) is
    'A biller''s journal if a lost part of it may have sent usage of this time, otherwise null.';

create or replace function _stopped_billers()
returns setof text
language sql
stable
set search_path from current
as $$
    select j.biller from report_journals j where j.server <> (select _journal_server()) order by j.biller
$$;

comment on function _stopped_billers() is 'The billers whose journal was last used on another server and has not been adopted.';

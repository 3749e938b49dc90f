-- What a service does not let anybody ask is left out; it then tells nothing apart.
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
        -- Not that of pg_control_checkpoint(), which is an older one until the first checkpoint after a promotion.
        v_timeline := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
    exception when others then
        null;
    end;
    return concat_ws('/', v_system, v_timeline, (select oid from pg_database where datname = current_database()), 'pushes'::regclass::oid);
end
$$;

comment on function _journal_server() is
    'What changes when a journal is restored, copied or fails over: system identifier, timeline, and the ids of database and table; '
    'null on a standby.';

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

create or replace function _stopped_billers()
returns setof text
language sql
stable
set search_path from current
as $$
    select j.biller from report_journals j where j.server <> (select _journal_server()) order by j.biller
$$;

comment on function _stopped_billers() is 'The billers whose journal was used on another server and was not adopted by this one.';

-- The WAL is flushed in order: with the commit of a claim everything that was committed before it is durable too.
create or replace function _require_durable_commit()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    if current_setting('synchronous_commit') in ('off', 'local') then
        perform set_config('synchronous_commit', 'on', true);
    end if;
end
$$;

comment on function _require_durable_commit() is
    'Makes the commit of this transaction wait for the disk, and for synchronous standbys, whatever the role''s or database''s setting.';

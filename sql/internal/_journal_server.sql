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

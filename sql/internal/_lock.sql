-- The order in which these locks are taken, by everybody who takes more than one: the row of a biller (_lock_planning), then of locks
-- maintain, catalog, rebuild; then the tables metrics and events; then rows, in the order that record() says. The installer and whoever
-- changes rights lock the table yoyo_lock first of all, and none of these.
-- Rows last until the transaction ends, so they work behind a connection pool.
create or replace function _lock(name text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from locks l where l.name = _lock.name for update;
    if not found then
        -- Rows are missing after a restore of the schema without its data.
        insert into locks (name) values (_lock.name) on conflict do nothing;
        perform from locks l where l.name = _lock.name for update;
    end if;
exception when lock_not_available then
    perform _raise_busy(format('lock %s', _lock.name));
end
$$;

comment on function _lock(text) is
    'Waits until no other transaction holds the lock of that name, and holds it until this one ends. Raises 55P03 after lock_timeout.';

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

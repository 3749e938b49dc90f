-- What has been planned and claimed is protected by locks, and after waiting for a lock only a new snapshot shows what it protected.
create or replace function _check_read_committed()
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'reporting needs a READ COMMITTED transaction',
            hint = 'Call it in a transaction of its own: an older snapshot may not see what others have just committed.';
    end if;
end
$$;

comment on function _check_read_committed() is 'Refuses (25001) a REPEATABLE READ or SERIALIZABLE transaction.';

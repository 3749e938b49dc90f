create or replace function _raise_busy(detail text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = '55P03', message = 'another session is changing the meter', detail = _raise_busy.detail || '.',
        hint = 'Try again when its transaction has ended; pg_blocking_pids() and pg_stat_activity show which one it is.';
end
$$;

comment on function _raise_busy(text) is 'Raises 55P03: a lock was not to be had within lock_timeout.';

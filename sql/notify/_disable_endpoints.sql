create or replace function _disable_endpoints(names text[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if names = '{}' then
        return;
    end if;
    update endpoints e set disabled_at = _disable_endpoints.now, disabled_reason = 'it answered that it is gone (410)'
    where e.name = any (names) and e.disabled_at is null;
    update deliveries d set state = 'dead', error = coalesce(d.error, 'the endpoint is disabled'), settled_at = _disable_endpoints.now,
        next_attempt_at = null
    where d.endpoint = any (names) and d.state in ('planned', 'sending', 'waiting');
end
$$;

comment on function _disable_endpoints(text[], timestamptz) is 'Disables endpoints that the caller has locked, and gives their open deliveries up.';

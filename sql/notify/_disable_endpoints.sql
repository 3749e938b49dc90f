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

create or replace function _note_failing(worker text, results delivery_result[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    update endpoints e set failing_since = case when f.arrived then null else _note_failing.now end
    from (
        select d.endpoint, bool_or(r.outcome = 'delivered') as arrived
        from unnest(results) r
        cross join lateral (
            select d.endpoint, d.state = 'sending' and d.attempts = r.attempt and d.worker = _note_failing.worker as current
            from deliveries d where d.delivery_id = r.delivery_id offset 0
        ) d
        where r.outcome = 'delivered' or r.outcome = 'failed' and d.current
        group by d.endpoint
    ) f
    where e.name = f.endpoint and f.arrived = (e.failing_since is not null);
end
$$;

comment on function _note_failing(text, delivery_result[], timestamptz) is
    'Notes of endpoints that the caller has locked whether attempts to send to them fail. A failure counts if the worker still holds the delivery.';

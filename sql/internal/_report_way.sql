-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _report_way(mode text, aggregate text, is_dropped boolean, event_id bigint, event_after bigint)
returns text
language sql
immutable parallel safe
as $$
    select case
        when mode = 'event' and is_dropped then 'dropped'
        when mode = 'event' and event_id > event_after then 'event'
        when mode = 'event' then 'earlier events'
        when mode = 'delta' and aggregate in ('sum', 'count') then 'delta'
        else 'value'
    end
$$;

comment on function _report_way(text, text, boolean, bigint, bigint) is
    'How a row of the queue is planned: event (by itself), earlier events (of its hour, as a delta), dropped (what the rollups hold, since its '
    'month has no events any more), delta (what its hour has gained) or value (that of its period).';

-- The only place that computes a metric's quantity from a rollup. Trimmed, so that it does not depend on how the summands were written.
create or replace function _quantity(
    aggregate text, event_count bigint, total numeric, lowest numeric, highest numeric, latest numeric
)
returns numeric
language sql
immutable parallel safe
as $$
    select trim_scale(case aggregate
        when 'avg' then total / nullif(event_count, 0)
        when 'min' then lowest
        when 'max' then highest
        when 'last' then latest
        else total
    end)
$$;

comment on function _quantity(text, bigint, numeric, numeric, numeric, numeric) is
    'The quantity of a rollup, by the metric''s aggregate; avg is total / event_count.';

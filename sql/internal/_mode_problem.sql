-- Inlined: no SET, nothing outside pg_catalog. The fine bucket is the answer of _fine_bucket().
create or replace function _mode_problem(aggregate text, fine_bucket text, mode text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when mode = 'event' and aggregate not in ('sum', 'count') then
            'Only sums and counts can be reported event by event; a max or unique can be reported as delta, all as last.'
        when mode = 'delta' and aggregate in ('min', 'avg', 'last') then
            'A min, avg or last is not a sum of parts: report it as last.'
        when mode = 'delta' and aggregate in ('sum', 'count') and fine_bucket not in ('minute', 'hour') then
            'Deltas must not straddle an hour: define the metric with rollup hour, or report it as event or last.'
    end
$$;

comment on function _mode_problem(text, text, text) is
    'Why a metric with this aggregate and fine bucket cannot be reported in a mode: what to do about it; null if it can.';

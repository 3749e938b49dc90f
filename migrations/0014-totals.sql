-- depends: 0013-quota-window
-- What totals() returns.

create type subject_total as (subject text, quantity numeric, event_count bigint);
comment on type subject_total is
    'The usage of a subject in a window. event_count is 0 where a metric that carries its last value over had no event in the window.';

create or replace function _cycle_window(subject text, since timestamptz, until timestamptz, timezone text, now timestamptz)
returns tstzrange
language plpgsql
stable
set search_path from current
as $$
declare
    v_window tstzrange;
begin
    -- Checks the arguments as for any other word.
    perform resolve_window('never', _cycle_window.since, _cycle_window.until, _cycle_window.timezone, _cycle_window.now);
    v_window := _cycle_at(_cycle_window.subject, coalesce(_cycle_window.now, now()));
    perform _check_time('now', lower(v_window)), _check_time('now', upper(v_window));
    return v_window;
end
$$;

comment on function _cycle_window(text, timestamptz, timestamptz, text, timestamptz) is
    'Returns the billing cycle of a subject that contains now, for the other arguments of resolve_window(). The time zone does not change it. '
    'Raises 22004 or 22023 as resolve_window() does.';

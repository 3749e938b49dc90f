create or replace function billing_cycle(subject text, at timestamptz default now())
returns tstzrange
language plpgsql
stable
security definer
set search_path from current
as $$
declare
    v_cycle tstzrange;
begin
    if _is_open('billing_cycle') then perform _check_caller('billing_cycle'); end if;
    perform _check_name('subject', billing_cycle.subject), _check_here(billing_cycle.subject), _check_time('at', billing_cycle.at, required => true);
    v_cycle := _cycle_at(billing_cycle.subject, billing_cycle.at);
    perform _check_time('at', lower(v_cycle)), _check_time('at', upper(v_cycle));
    return v_cycle;
end
$$;

comment on function billing_cycle(text, timestamptz) is
    'Returns the billing cycle [since, until) of a subject that contains an instant. A subject without set_billing_cycle() has the calendar '
    'month, UTC. Cycles tile: adjacent ones never overlap and leave no gap, also where the rule changes. Raises 22004 or 22023 for a bad value, '
    'UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT lower(c) AS since, upper(c) AS until FROM meter.billing_cycle(''acct_1'', at => ''2026-06-18 14:00Z'') c;';

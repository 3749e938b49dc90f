create or replace function _scenario_scope(scenario jsonb)
returns invoice_scope
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rules billing_cycles[] := array[_scenario_cycle(scenario -> 'cycle')];
    v_scope invoice_scope;
    v_cycle invoice_cycle;
begin
    v_scope.known_at := 'infinity';
    v_scope.since := _scenario_time(scenario, '$', 'since');
    v_scope.until := _scenario_time(scenario, '$', 'until');
    v_cycle := _invoice_cycle(v_rules, coalesce(v_scope.since, now()));
    if v_scope.since is null and v_scope.until is null then
        v_scope.since := v_cycle.since;
        v_scope.until := v_cycle.until;
    elsif (v_scope.since < v_scope.until) is not true then
        perform _refuse_scenario(case when v_scope.since is null then '$.since' else '$.until' end, 'window', scenario -> 'until');
    end if;
    if scenario -> 'cycle' is null or scenario -> 'cycle' = 'null' then
        v_scope.cycles := array[_one_cycle(v_scope.since, v_scope.until)];
        v_scope.next_cycle := _one_cycle(v_scope.until, (v_scope.until at time zone interval '0'
            + age(v_scope.until at time zone interval '0', v_scope.since at time zone interval '0')) at time zone interval '0');
    else
        v_scope.cycles := _cycles_between(v_rules, v_scope.since, v_scope.until);
        v_scope.next_cycle := _invoice_cycle(v_rules, v_scope.until);
    end if;
    v_cycle := v_scope.cycles[cardinality(v_scope.cycles)];
    v_scope.ends_cycle := v_cycle.until = v_scope.until;
    v_scope.is_cycle := v_scope.ends_cycle and v_cycle.since = v_scope.since;
    return v_scope;
end
$$;

comment on function _scenario_scope(jsonb) is
    'What the invoice of a scenario is of: as _invoice_scope(), but without a subject. Without cycle, the period is a whole cycle, and the next one '
    'is as long. Raises 22023.';

create or replace function _one_cycle(since timestamptz, until timestamptz)
returns invoice_cycle
language sql
immutable parallel safe
set search_path from current
as $$
    select row(since, until, since, until, 'UTC')::invoice_cycle
$$;

comment on function _one_cycle(timestamptz, timestamptz) is 'A billing cycle of just this time.';

create or replace function _scenario_cycle(cycle jsonb)
returns billing_cycles
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule billing_cycles := (null, '-infinity', '1970-01-01 00:00:00+00', 'UTC', 'month');
begin
    if coalesce(cycle, 'null') = 'null' then
        return v_rule;
    end if;
    perform _check_scenario_fields(cycle, '$.cycle', '{}', '{anchor,timezone,every}');
    v_rule.anchor := coalesce(_scenario_time(cycle, '$.cycle', 'anchor'), v_rule.anchor);
    v_rule.timezone := coalesce(_scenario_text(cycle, '$.cycle', 'timezone'), v_rule.timezone);
    v_rule.every := coalesce(_scenario_word(cycle, '$.cycle', 'every', '{week,month,year}'), v_rule.every);
    begin
        perform _check_timezone(v_rule.timezone);
    exception when invalid_parameter_value then
        perform _refuse_scenario('$.cycle.timezone', 'timezone', cycle -> 'timezone');
    end;
    return v_rule;
end
$$;

comment on function _scenario_cycle(jsonb) is
    'The rule of billing cycles in a scenario, as set_billing_cycle() takes it; without one, the calendar month in UTC. Raises 22023.';

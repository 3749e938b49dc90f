-- By the clock of the time zone, so a cycle starts at the anchor's time of day also after clocks have changed. All starts are counted from the
-- anchor: a start on the 31st is the last day of a shorter month, and the 31st again after it. The anchor's local time may occur twice, when clocks
-- are set back, so the anchor itself is not converted. UTC is written as Etc/UTC, see _check_timezone().
create or replace function _cycle_start(rule billing_cycles, number integer)
returns timestamptz
language sql
stable
set search_path from current
as $$
    select case when number = 0 then rule.anchor else ((rule.anchor at time zone z.name) + number * case rule.every
        when 'week' then interval '7 days' when 'month' then interval '1 month' else interval '1 year' end) at time zone z.name end
    from (select case rule.timezone when 'UTC' then 'Etc/UTC' else rule.timezone end) z (name)
$$;

comment on function _cycle_start(billing_cycles, integer) is 'The start of the cycle of a rule with that number; number 0 starts at the anchor.';

create or replace function _cycle_number(rule billing_cycles, at timestamptz)
returns integer
language plpgsql
stable
set search_path from current
as $$
declare
    v_span   interval := age(at at time zone interval '0', rule.anchor at time zone interval '0');
    v_number integer := case rule.every
        when 'week' then floor(extract(epoch from at - rule.anchor) / 604800)
        when 'month' then extract(year from v_span) * 12 + extract(month from v_span)
        else extract(year from v_span) end;
begin
    -- Time zones and short months move a start by a few days at most.
    while _cycle_start(rule, v_number) > at loop
        v_number := v_number - 1;
    end loop;
    while _cycle_start(rule, v_number + 1) <= at loop
        v_number := v_number + 1;
    end loop;
    return v_number;
end
$$;

comment on function _cycle_number(billing_cycles, timestamptz) is 'The number of the cycle of a rule that contains an instant.';

create or replace function _cycle_at(subject text, at timestamptz)
returns tstzrange
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule   billing_cycles := _cycle_rule(_cycle_at.subject, _cycle_at.at);
    v_next   timestamptz := (select min(c.since) from billing_cycles c where c.subject = _cycle_at.subject and c.since > _cycle_at.at);
    v_number integer;
begin
    v_number := _cycle_number(v_rule, _cycle_at.at);
    return tstzrange(greatest(_cycle_start(v_rule, v_number), v_rule.since), least(_cycle_start(v_rule, v_number + 1), v_next));
end
$$;

comment on function _cycle_at(text, timestamptz) is
    'The billing cycle of a subject that contains an instant: of the rule that holds then, cut where a rule begins. The one resolver of cycles.';

create or replace function _cycle_rule(subject text, at timestamptz)
returns billing_cycles
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule billing_cycles := (
        select c from billing_cycles c where c.subject = _cycle_rule.subject and c.since <= _cycle_rule.at order by c.since desc limit 1);
begin
    if v_rule.subject is null then
        v_rule := (_cycle_rule.subject, '-infinity', '1970-01-01 00:00:00+00', 'UTC', 'month');
    elsif v_rule.timezone <> 'UTC' then
        perform _check_timezone(v_rule.timezone);
    end if;
    return v_rule;
end
$$;

comment on function _cycle_rule(text, timestamptz) is
    'The rule of a subject''s billing cycles that holds at an instant; without one, the calendar month.';

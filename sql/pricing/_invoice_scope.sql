create or replace function _invoice_scope(
    subject text, since timestamptz, until timestamptz, period text, now timestamptz, as_of timestamptz
)
returns invoice_scope
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope  invoice_scope;
    v_rules  billing_cycles[];
    v_cycle  invoice_cycle;
    v_window tstzrange;
begin
    v_scope.subject := _invoice_scope.subject;
    v_scope.as_of := _invoice_scope.as_of;
    v_scope.known_at := coalesce(_invoice_scope.as_of, 'infinity');
    v_rules := _known_cycles(_invoice_scope.subject, v_scope.known_at);
    if lower(btrim(_invoice_scope.period) collate "C") = 'cycle'
        or _invoice_scope.period is null and _invoice_scope.since is null and _invoice_scope.until is null then
        -- Checks the arguments as for any other word.
        perform resolve_window('never', _invoice_scope.since, _invoice_scope.until, 'UTC', _invoice_scope.now);
        v_cycle := _invoice_cycle(v_rules, coalesce(_invoice_scope.now, now()));
        v_window := tstzrange(v_cycle.since, v_cycle.until);
    else
        v_window := resolve_window(_invoice_scope.period, _invoice_scope.since, _invoice_scope.until, 'UTC', _invoice_scope.now);
    end if;
    v_scope.since := lower(v_window);
    v_scope.until := upper(v_window);
    if v_scope.since is null or v_scope.until is null then
        raise exception using errcode = '22023', message = 'the window of an invoice has two ends', column = 'until',
            hint = 'Pass both since and until, or a period such as month or cycle.';
    end if;
    perform _check_time('now', v_scope.since), _check_time('now', v_scope.until);
    v_scope.cycles := _cycles_between(v_rules, v_scope.since, v_scope.until);
    v_cycle := v_scope.cycles[cardinality(v_scope.cycles)];
    v_scope.ends_cycle := v_cycle.until = v_scope.until;
    v_scope.is_cycle := v_scope.ends_cycle and v_cycle.since = v_scope.since;
    v_scope.next_cycle := _invoice_cycle(v_rules, v_scope.until);
    return v_scope;
end
$$;

comment on function _invoice_scope(text, timestamptz, timestamptz, text, timestamptz, timestamptz) is
    'What an invoice is of: the arguments of invoice(), resolved with the billing cycles as of as_of; without the parts of the cycle. Raises 22023 '
    'as resolve_window() does, for a window that is open at an end, and for one of more than 1,200 cycles.';

create or replace function _invoice_cycle(rules billing_cycles[], at timestamptz)
returns invoice_cycle
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule   billing_cycles;
    v_next   timestamptz;
    v_number integer;
    v_cycle  invoice_cycle;
begin
    foreach v_rule in array rules loop
        exit when v_rule.since > _invoice_cycle.at;
        v_number := coalesce(v_number, 0) + 1;
    end loop;
    v_next := (rules[coalesce(v_number, 0) + 1]).since;
    if v_number is null then
        v_rule := (null, '-infinity', '1970-01-01 00:00:00+00', 'UTC', 'month');
    else
        v_rule := rules[v_number];
        perform _check_timezone(v_rule.timezone);
    end if;
    v_number := _cycle_number(v_rule, _invoice_cycle.at);
    v_cycle.whole_since := _cycle_start(v_rule, v_number);
    v_cycle.whole_until := _cycle_start(v_rule, v_number + 1);
    v_cycle.since := greatest(v_cycle.whole_since, v_rule.since);
    v_cycle.until := least(v_cycle.whole_until, v_next);
    v_cycle.timezone := v_rule.timezone;
    return v_cycle;
end
$$;

comment on function _invoice_cycle(billing_cycles[], timestamptz) is
    'The billing cycle that contains an instant, by these rules, the earliest first: the same as _cycle_at().';

create or replace function _cycles_between(rules billing_cycles[], since timestamptz, until timestamptz)
returns invoice_cycle[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at     timestamptz := _cycles_between.since;
    v_cycle  invoice_cycle;
    v_cycles invoice_cycle[] := '{}';
begin
    while v_at < _cycles_between.until loop
        if cardinality(v_cycles) = 1200 then
            raise exception using errcode = '22023', message = 'the window has more than 1,200 billing cycles', column = 'until',
                hint = 'Ask for a shorter window.';
        end if;
        v_cycle := _invoice_cycle(rules, v_at);
        v_cycles := v_cycles || v_cycle;
        v_at := v_cycle.until;
    end loop;
    return v_cycles;
end
$$;

comment on function _cycles_between(billing_cycles[], timestamptz, timestamptz) is
    'The billing cycles that have a part in [since, until), in their order. Raises 22023 for more than 1,200.';

-- An amount or a quantity by days: exact if it ends within 20 decimals more, else rounded to them.
create or replace function _portion(amount numeric, part numeric, whole numeric)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_digits integer := 20 + scale(amount);
    v_scaled numeric;
begin
    if part = whole then
        return amount;
    end if;
    v_scaled := abs(amount * part) * ('1e' || v_digits)::numeric;
    return trim_scale(sign(amount * part) * div(2 * v_scaled + whole, 2 * whole) * ('1e-' || v_digits)::numeric);
end
$$;

comment on function _portion(numeric, numeric, numeric) is
    'amount * part / whole; a quotient that does not end is rounded to 20 decimals more than the amount has, half away from zero.';

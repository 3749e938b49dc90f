-- The rules of the past are not rewritten unless since asks for it: a rule takes effect with the start of one of its own cycles, and ends the cycle
-- that runs then.
create or replace function set_billing_cycle(
    subject text, anchor timestamptz, timezone text default 'UTC', every text default 'month', since timestamptz default null
)
returns billing_cycles
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule  billing_cycles := (set_billing_cycle.subject, null, set_billing_cycle.anchor, set_billing_cycle.timezone, set_billing_cycle.every);
    v_held  billing_cycles;
    v_later billing_cycles[];
    v_from  timestamptz;
    v_start timestamptz;
begin
    if _is_open('set_billing_cycle') then perform _check_caller('set_billing_cycle'); end if;
    perform _check_name('subject', set_billing_cycle.subject, 512), _check_time('anchor', set_billing_cycle.anchor, required => true),
        _check_timezone(set_billing_cycle.timezone), _check_word('every', set_billing_cycle.every, '{week,month,year}'),
        _check_time('since', set_billing_cycle.since);
    perform _lock_sealed(set_billing_cycle.subject), _lock_limited_subject(set_billing_cycle.subject);
    -- The clock, not the beginning of the transaction: a cycle that has ended while this call waited for the lock is the past.
    v_from := coalesce(set_billing_cycle.since, clock_timestamp());
    select * into v_held from billing_cycles c where c.subject = set_billing_cycle.subject and c.since <= v_from order by c.since desc limit 1;
    v_later := array(
        select c from billing_cycles c where c.subject = set_billing_cycle.subject and c.since > v_from order by c.since);
    if (v_held.anchor, v_held.timezone, v_held.every) = (v_rule.anchor, v_rule.timezone, v_rule.every) then
        v_rule.since := v_held.since;
    else
        v_start := case when set_billing_cycle.since is null and v_held.subject is null then v_rule.anchor else v_from end;
        v_rule.since := _cycle_start(v_rule, _cycle_number(v_rule, v_start));
        if v_rule.since < v_start then
            v_rule.since := _cycle_start(v_rule, _cycle_number(v_rule, v_start) + 1);
        end if;
        perform _check_time('since', v_rule.since);
    end if;
    if v_rule = v_held and v_later = '{}' or v_later = array[v_rule] then
        return v_rule;
    end if;
    perform _check_after_statements(set_billing_cycle.subject, case when v_rule = v_held then v_later[1].since else v_rule.since end);
    update sealed_subjects s set due_at = '-infinity' where s.subject = set_billing_cycle.subject;
    delete from billing_cycles c where c.subject = set_billing_cycle.subject and (c.since > v_from or c.since >= v_rule.since);
    insert into billing_cycles values (v_rule.*);
    perform _note_cycles(set_billing_cycle.subject), _cut_blocks(set_billing_cycle.subject), _limits_changed(set_billing_cycle.subject),
        _log_change('set_billing_cycle', set_billing_cycle.subject,
            to_jsonb(coalesce((select c from unnest(v_later) c where c <> v_rule limit 1), v_held)), to_jsonb(v_rule));
    return v_rule;
end
$$;

comment on function set_billing_cycle(text, timestamptz, text, text, timestamptz) is
    'Sets the billing cycle of a subject and returns the rule: cycles of a week, month or year that start at the anchor''s time of day in the time '
    'zone. An anchor on the 29th to 31st means the last day of a shorter month. The first rule holds from the anchor, a change from its first '
    'start of a cycle at or after now or since; the cycle that runs then ends there. since in the past changes past cycles; one that then begins '
    'at another time is another period, for which marks fire anew. Rules that begin after now or since are replaced. The subject''s recording '
    'waits until the transaction ends. Raises 22004 or 22023 for a bad value, UM004 if the rule would begin before the end of a statement '
    '(close_period()), 55P03 if transactions that record for the subject, or close a period of it, stay open for 5 seconds, UM008 for a subject '
    'that is on another shard or being moved. '
    'Example: BEGIN; SELECT since, every FROM meter.set_billing_cycle(''acct_1'', ''2026-01-31''); ROLLBACK;';

-- Inlined: no SET, no sub-select, nothing outside pg_catalog.
create or replace function _policy_action(biller billers, mode text, reason text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when reason in ('too_many_digits', 'ambiguous') then 'hold'
        when reason = 'negative' then (biller).negative
        when mode = 'last' and case reason when 'too_old' then (biller).too_old when 'late' then (biller).late end = 'restamp' then 'hold'
        when reason = 'too_old' then (biller).too_old
        when reason = 'late' then (biller).late
    end
$$;

comment on function _policy_action(billers, text, text) is
    'The action of a biller''s policy for a reason: hold, leave, send or restamp; null without a reason. In mode last, restamp becomes '
    'hold, because the value would overwrite the current period''s.';

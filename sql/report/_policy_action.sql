-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _policy_action(biller billers, mode text, reason text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when reason in ('too_many_digits', 'ambiguous') then 'hold'
        when reason = 'negative' then (biller).negative
        when reason in ('too_old', 'late') then (
            select case when mode = 'last' and s.setting = 'restamp' then 'hold' else s.setting end
            from (select case reason when 'too_old' then (biller).too_old else (biller).late end as setting) s)
    end
$$;

comment on function _policy_action(billers, text, text) is
    'The action of a biller''s policy for a reason: hold, leave, send or restamp; null without a reason. In mode last, restamp becomes '
    'hold, because the value would overwrite the current period''s.';

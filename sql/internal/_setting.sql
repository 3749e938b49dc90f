-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _setting(biller billers, mode text, reason text)
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

comment on function _setting(billers, text, text) is
    'What a biller''s rules say about a push with a reason: hold, leave, send or restamp; null without a reason. A value of mode last is '
    'held where others are restamped, as it would overwrite the present period''s value.';

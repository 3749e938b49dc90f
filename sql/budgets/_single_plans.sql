-- With a statement, there may be late lines, and fees that were billed in advance. They are left out unless it is clear that there are none.
create or replace function _single_plans(subjects text[], since timestamptz, until timestamptz)
returns table (subject text, plan text)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_asks boolean := _setting_value('late_usage') = 'ask' and not exists (select from plan_prices p where p.bill = 'advance');
begin
    return query
    select u.subject, s.plan
    from unnest(_single_plans.subjects) u (subject)
    cross join lateral (
        select min(s.plan) as plan
        from subscriptions s
        where s.subject = u.subject and s.since < _single_plans.until and coalesce(s.until, 'infinity') > _single_plans.since
        having count(*) = 1 and min(s.since) <= _single_plans.since and min(coalesce(s.until, 'infinity')) >= _single_plans.until
    ) s
    where not exists (select from cycle_history h where h.subject = u.subject)
      and not exists (
          select
          from sealed_subjects w
          cross join lateral (
              select from statements t
              where t.subject_id = w.subject_id and (not v_asks or t.until > _single_plans.since or exists (
                  select from late_decisions d where d.statement_id = t.statement_id and d.decision = 'bill' and d.billed_on is null))
              offset 0
          ) t
          where w.subject = u.subject and w.statements > 0);
end
$$;

comment on function _single_plans(text[], timestamptz, timestamptz) is
    'Those of the subjects who have one plan from since to until, calendar months, and nothing of earlier statements to pay.';

-- Most subjects have one plan all the time, with its own prices, and calendar months: a hundred of them are priced together. The others, and all of
-- them if one cannot be priced, are what invoice() says, one by one.
create or replace function _common_totals(subjects text[], now timestamptz)
returns budget_total[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_totals budget_total[] := '{}';
    v_period record;
begin
    if cardinality(subjects) < 2 then
        return v_totals;
    end if;
    for v_period in
        select lower(w.window) as since, upper(w.window) as until, p.subjects
        from (
            select b.period, array_agg(distinct u.subject) as subjects
            from budgets b
            join unnest(_common_totals.subjects) u (subject) on b.subject is null or b.subject = u.subject
            group by 1
        ) p
        cross join lateral (select _budget_period(p.period, '', _common_totals.now) as window offset 0) w
    loop
        if not exists (select from unnest(v_totals) t where (t.since, t.until) = (v_period.since, v_period.until)) then
            v_totals := v_totals || array(select t from _window_totals(v_period.subjects, v_period.since, v_period.until) t);
        end if;
    end loop;
    return v_totals;
exception when others then
    return '{}';
end
$$;

comment on function _common_totals(text[], timestamptz) is
    'What those of the subjects owe that can be priced together, in the running periods of their budgets.';

create or replace function _window_totals(subjects text[], since timestamptz, until timestamptz)
returns setof budget_total
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope := _invoice_scope('', _window_totals.since, _window_totals.until, null, _window_totals.since, null);
    v_plan  record;
    v_basis invoice_basis;
    v_fees  numeric;
begin
    for v_plan in
        select s.plan, p.currency, array_agg(s.subject) as subjects
        from _single_plans(_window_totals.subjects, (v_scope.cycles[1]).since, (v_scope.next_cycle).until) s
        join plans p on p.plan = s.plan
        where p.currency is not null and not exists (select from plan_minimums m where m.plan = s.plan)
        group by 1, 2
    loop
        v_basis := _invoice_basis(_as_if(v_scope, v_plan.plan));
        v_fees := (select coalesce(sum(l.exact_amount), 0) from unnest(v_basis.fees) l);
        return query
        select c.subject, _window_totals.since, _window_totals.until, v_plan.currency,
               _paid_total(v_basis, c.subject, v_plan.currency, round(c.amount + v_fees, _currency_decimals(v_plan.currency)))
        from _common_costs(v_basis, array(
            select unnest(v_plan.subjects)
            except
            select s from _special_subjects(v_basis, v_plan.subjects) s), true) c
        where c.amount + v_fees >= 0;
    end loop;
end
$$;

comment on function _window_totals(text[], timestamptz, timestamptz) is
    'What those of the subjects owe for a window that can be priced together. Raises UM006 and 40001 as invoice() does.';

create or replace function _paid_total(basis invoice_basis, subject text, currency text, amount numeric)
returns numeric
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_basis invoice_basis := basis;
    v_scope invoice_scope := basis.scope;
    v_lines invoice_line[];
begin
    if not exists (select from credits c where c.subject = _paid_total.subject)
        and not exists (select from taxes t where t.subject = _paid_total.subject) then
        return _paid_total.amount;
    end if;
    v_scope.subject := _paid_total.subject;
    v_basis.scope := v_scope;
    v_basis := _with_payments(v_basis, '{}');
    v_lines := array[(null, null, 'usage', null, null, null, null, null, _paid_total.amount, _paid_total.amount, _paid_total.currency, null, null,
                      null, null, null, null, null, null)::invoice_line];
    v_lines := v_lines || array(select l from _credit_lines(v_basis, v_lines) l);
    v_lines := v_lines || array(select l from _tax_lines(v_basis, v_lines) l);
    return (select sum(l.amount) from unnest(v_lines) l);
end
$$;

comment on function _paid_total(invoice_basis, text, text, numeric) is
    'The total of an invoice whose lines sum to an amount, rounded, after the credits and taxes of a subject.';

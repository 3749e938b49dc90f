-- Most subjects have the plan's own prices and the calendar's months: they are priced together. The others are, one by one, what an invoice is.
create or replace function _plan_costs(plan text, since timestamptz, until timestamptz, subjects text[])
returns table (subject text, currency text, amount numeric)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_currency text := (select p.currency from plans p where p.plan = _plan_costs.plan);
    v_basis    invoice_basis;
    v_special  text[];
begin
    if v_currency is null then
        return query select u.subject, null::text, 0::numeric from unnest(_plan_costs.subjects) u (subject);
        return;
    end if;
    v_basis := _invoice_basis(_as_if(_invoice_scope('', _plan_costs.since, _plan_costs.until, null, null, null), _plan_costs.plan));
    v_special := array(select s from _special_subjects(v_basis, _plan_costs.subjects) s);
    return query
    select c.subject, v_currency, round(greatest(c.amount + f.amount, (v_basis.minimums[1]).amount - (v_basis.minimums[1]).billed),
                                        _currency_decimals(v_currency))
    from _common_costs(v_basis, array(select unnest(_plan_costs.subjects) except select unnest(v_special))) c
    cross join (select coalesce(sum(l.exact_amount), 0) as amount from unnest(v_basis.fees) l where l.since < _plan_costs.until) f
    union all
    select u.subject, v_currency,
           _invoice_cost(_as_if(_invoice_scope(u.subject, _plan_costs.since, _plan_costs.until, null, null, null), _plan_costs.plan))
    from unnest(v_special) u (subject);
end
$$;

comment on function _plan_costs(text, timestamptz, timestamptz, text[]) is
    'What a window costs each of the subjects under a plan; null if that is unknown. A plan without prices costs nothing.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _as_if(scope invoice_scope, plan text)
returns invoice_scope
language sql
immutable
as $$
    select row(scope.subject, scope.since, scope.until, scope.as_of, scope.known_at, scope.is_cycle, scope.ends_cycle, scope.cycles,
               scope.next_cycle, scope.part_starts, scope.part_weights, scope.cycle_weight, plan)
$$;

comment on function _as_if(invoice_scope, text) is 'A scope as if the subject had a plan, and no other.';

create or replace function _special_subjects(basis invoice_basis, subjects text[])
returns setof text
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_all boolean := basis.by_line or exists (
        select
        from unnest(basis.segments) s
        join metrics m on m.key = s.metric
        where s.item is not null and (s.price ->> 'model' = 'matrix'
            or m.aggregate not in ('sum', 'count') and (s.since, s.until) is distinct from ((basis.scope).since, (basis.scope).until)));
begin
    return query
    select u.subject
    from unnest(subjects) u (subject)
    where v_all
       or exists (select from billing_cycles c where c.subject = u.subject)
       or exists (select from plan_prices p where p.plan = (basis.scope).as_if and p.subject = u.subject);
end
$$;

comment on function _special_subjects(invoice_basis, text[]) is
    'Those of the subjects who have prices or billing cycles of their own; all of them if the plan cannot be priced from plain sums.';

create or replace function _invoice_cost(scope invoice_scope)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope := scope;
    v_basis invoice_basis;
    v_sum   record;
begin
    if v_scope.is_cycle then
        select p.* into v_scope.part_starts, v_scope.part_weights, v_scope.cycle_weight
        from _cycle_parts(v_scope.subject, v_scope.since, v_scope.until, v_scope.known_at) p;
    end if;
    v_basis := _invoice_basis(v_scope);
    v_basis.usage := array(select u from _segments_usage(v_basis, '{}', null) u);
    select sum(l.exact_amount) as exact_amount, sum(round(l.exact_amount, d.decimals)) as by_line, min(d.decimals) as decimals,
           count(*) = count(l.exact_amount) as is_known
    into v_sum
    from _priced_lines(v_basis, '{}', null) l
    cross join lateral (select _currency_decimals(l.currency) as decimals) d
    where l.currency is not null and l.kind <> 'total' and l.since < v_scope.until;
    return case when v_sum.decimals is null then 0 when not v_sum.is_known then null when v_basis.by_line then v_sum.by_line
                else round(v_sum.exact_amount, v_sum.decimals) end;
end
$$;

comment on function _invoice_cost(invoice_scope) is
    'The sum of the lines of an invoice, rounded, without fees of the cycle after the window; null if an amount is unknown. Raises as invoice() '
    'does.';

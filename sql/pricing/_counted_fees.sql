-- Of a fee that is due at the end of its cycle, or was billed before it, each part of the cycle counts its share of the days towards the minimum: so
-- parts that tile count it once, whichever of them bills it.
create or replace function _counted_fees(scope invoice_scope, segments invoice_segment[], billed billed_fee[])
returns table (plan text, amount numeric)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_wide invoice_scope := scope;
    v_fees invoice_segment[];
begin
    return query
    select b.plan, sum(b.amount)
    from unnest(billed) b
    where not b.is_next and b.cycle >= (scope.cycles[1]).since
    group by b.plan;
    v_wide.since := (scope.cycles[1]).since;
    v_wide.until := (scope.cycles[cardinality(scope.cycles)]).until;
    if (v_wide.since, v_wide.until) = (scope.since, scope.until) then
        return;
    end if;
    v_fees := array(select s from unnest(segments) s where s.metric is null and (s.bill = 'advance' or not s.prorate));
    return query
    select l.plan, sum(_portion(l.exact_amount, _local_seconds(c.timezone, greatest(l.since, scope.since), least(l.until, scope.until)),
                                _local_seconds(c.timezone, l.since, l.until)))
    from _full_fee_lines(v_wide, v_fees) l
    join unnest(scope.cycles) c on l.since >= c.since and l.since < c.until
    where l.since < scope.until and l.until > scope.since
    group by l.plan
    union all
    select l.plan, - sum(l.exact_amount)
    from _full_fee_lines(scope, v_fees) l
    where l.since < scope.until
    group by l.plan;
end
$$;

comment on function _counted_fees(invoice_scope, invoice_segment[], billed_fee[]) is
    'What counts towards the minimum of a plan in a window beside its lines: fees of its cycles that earlier statements have billed in advance, and '
    'the share of the window''s days of fees that are due at the end of a cycle, less what it bills of them.';

-- A fee that was billed in advance is taken off as a whole, and what is due instead is a line beside it: the difference is what the earlier statement
-- has billed too much. A cycle may have been cut since it was billed: what is due counts for the cycle that the fee was billed of.
create or replace function _taken_off(basis invoice_basis, lines invoice_line[])
returns table (statement_id bigint, currency text, amount numeric)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select l.late_of, l.currency, - sum(l.amount) from unnest(lines) l where l.kind = 'late' group by 1, 2;
    if not exists (select from unnest(lines) l where l.kind = 'fee' and l.late_of is not null) then
        return;
    end if;
    return query
    select t.statement_id, t.currency, greatest(least(t.amount, t.net - t.before), 0)
    from (
        select f.late_of as statement_id, f.currency, - f.amount as amount, - sum(f.amount) over w as net,
               coalesce(sum(greatest(- f.amount, 0)) filter (where f.late_of is not null) over (
                   w order by f.late_of rows between unbounded preceding and 1 preceding), 0) as before
        from (
            select l.plan, l.item, l.currency, l.late_of, _cycle_of(s.scope, l.since) as cycle, sum(l.amount) as amount
            from unnest(lines) l
            cross join (select _fee_scope(basis.scope) as scope offset 0) s
            where l.metric is null and l.item is not null and l.kind in ('fee', 'discount', 'true_up')
            group by 1, 2, 3, 4, 5
        ) f
        window w as (partition by f.plan, f.item, f.currency, f.cycle)
    ) t
    where t.statement_id is not null;
end
$$;

comment on function _taken_off(invoice_basis, invoice_line[]) is
    'How much the lines of an invoice take off of what earlier statements have billed: late lines, and fees in advance that are not due any more.';

-- A statement of the first part of a cycle leaves the fees of the cycle to the statement that holds its end. If the cycle is cut just there
-- afterwards, no window ends with it: the one that begins there has these fees.
create or replace function _fee_scope(scope invoice_scope)
returns invoice_scope
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
    v_scope invoice_scope := scope;
begin
    if scope.as_if is null and (scope.cycles[1]).since = scope.since and exists (
        select
        from sealed_subjects w
        cross join lateral (
            select from statements t
            where t.subject_id = w.subject_id and t.until = scope.since and t.watermark < scope.known_at
              and t.basis #>> '{scope,ends_cycle}' = 'false'
            offset 0
        ) t
        where w.subject = scope.subject and w.statements > 0)
    then
        v_scope.cycles := _invoice_cycle(_known_cycles(scope.subject, scope.known_at), scope.since - interval '1 microsecond') || scope.cycles;
    end if;
    return v_scope;
end
$$;

comment on function _fee_scope(invoice_scope) is
    'A scope with the cycles whose fees its window has: its own, and the one before, if that was cut where a statement of its first part ends.';

-- A fee that was billed in advance is not billed again: only what has changed is. Where nothing has, there is no line.
create or replace function _fee_lines(scope invoice_scope, segments invoice_segment[], billed billed_fee[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_due invoice_line[] := array(select l from _full_fee_lines(scope, segments) l);
begin
    if cardinality(billed) = 0 then
        return query select l.* from unnest(v_due) l;
        return;
    end if;
    return query
    with settled as (
        select d.plan, d.item, d.cycle
        from (
            select l.plan, l.item, _cycle_of(scope, l.since) as cycle, l.exact_amount as amount from unnest(v_due) l
            union all
            select b.plan, b.item, b.cycle, - b.amount from unnest(billed) b
        ) d
        group by 1, 2, 3
        having sum(d.amount) = 0
    )
    select l.*
    from unnest(v_due) l
    where (l.plan, l.item, _cycle_of(scope, l.since)) not in (select s.plan, s.item, s.cycle from settled s)
    union all
    select b.item, null, 'fee', b.since, b.until, null, null, null, - b.amount, null, b.currency, b.price_version,
           'already billed in advance' || coalesce(', with statement ' || b.statement_id, ''), b.plan,
           null, null, null, b.name, b.statement_id
    from unnest(billed) b
    where (b.plan, b.item, b.cycle) not in (select s.plan, s.item, s.cycle from settled s);
end
$$;

comment on function _fee_lines(invoice_scope, invoice_segment[], billed_fee[]) is
    'The lines of an invoice for fixed fees, not rounded, and what earlier statements have billed of them taken off: late_of says which statement.';

-- A line counts for the cycle in which it starts: the cycle may have been cut since. Of the window''s own cycles, only those that end in it have what
-- was billed in advance; other fees are of the parts that other statements hold. A statement bills at most a year in advance.
create or replace function _billed_fees(scope invoice_scope)
returns setof billed_fee
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
    v_first   timestamptz := (scope.cycles[1]).since;
    v_subject integer := (select w.subject_id from sealed_subjects w where w.subject = scope.subject and w.statements > 0);
    v_bills_next boolean := _bills_next(scope);
begin
    if v_subject is null or scope.as_if is not null then
        return;
    end if;
    return query
    select b.plan, b.item, min(b.since), max(b.until), sum(b.exact_amount), b.currency, b.price_version, b.name, b.statement_id, b.cycle, b.is_next
    from (
        select l.plan, l.item, l.since, l.until, l.exact_amount, l.currency, l.price_version, l.name, l.statement_id, c.since as cycle, c.is_next
        from (
            select t.statement_id, t.until
            from statements t
            where t.subject_id = v_subject and t.until > v_first - interval '2 years' and t.watermark < scope.known_at
            offset 0
        ) t
        cross join lateral (
            select l.*
            from statement_lines l
            where l.statement_id = t.statement_id and l.metric is null and l.item is not null and l.kind in ('fee', 'discount', 'true_up')
            offset 0
        ) l
        join (
            select c.since, c.until, false as is_next from unnest(scope.cycles) c where c.until <= scope.until
            union all
            select c.since, c.until, true from unnest(array[scope.next_cycle]) c where v_bills_next
        ) c on l.since >= c.since and l.since < c.until
        where c.is_next or l.since >= t.until
    ) b
    group by b.plan, b.item, b.currency, b.price_version, b.name, b.statement_id, b.cycle, b.is_next
    having sum(b.exact_amount) <> 0
    order by b.plan, b.item, b.cycle, b.statement_id;
end
$$;

comment on function _billed_fees(invoice_scope) is
    'What earlier statements have billed of the fees of a window: in advance for its cycles, and anything for the one after it.';

-- What a statement that holds the end of a cycle says of its fees is final.
create or replace function _bills_next(scope invoice_scope)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return scope.ends_cycle and not exists (
        select
        from sealed_subjects w
        cross join lateral (
            select from statements t
            where t.subject_id = w.subject_id and t.until >= (scope.next_cycle).until and t.since < (scope.next_cycle).until
              and t.watermark < scope.known_at
            offset 0
        ) t
        where w.subject = scope.subject);
end
$$;

comment on function _bills_next(invoice_scope) is
    'Whether a window bills fees of the cycle after it in advance: it ends with a cycle, and the next one is not closed yet.';

create or replace function _cycle_of(scope invoice_scope, at timestamptz)
returns timestamptz
language sql
immutable parallel safe
set search_path from current
as $$
    select c.since from unnest(scope.cycles || scope.next_cycle) c where c.since <= at and c.until > at limit 1
$$;

comment on function _cycle_of(invoice_scope, timestamptz) is 'When the cycle of a window, or of the time after it, starts that contains an instant.';

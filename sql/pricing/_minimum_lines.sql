create or replace function _due_minimums(scope invoice_scope, segments invoice_segment[], billed billed_fee[])
returns setof invoice_minimum
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_held invoice_minimum[];
begin
    if not exists (select from plan_minimums) then
        return;
    end if;
    v_held := array(
        select (h.plan, h.since, h.until, (m.m).amount, p.currency, 0)::invoice_minimum
        from (
            select b.plan, b.start as since, lead(b.start, 1, b.ends_at) over (partition by b.plan, b.starts_at order by b.start) as until
            from (
                select distinct i.plan, i.starts_at, i.ends_at, greatest(v.since, i.starts_at) as start
                from _plan_times(scope, scope.since, scope.until) i
                cross join lateral (
                    select m.since
                    from plan_minimums m
                    where m.plan = i.plan and m.since < i.ends_at and m.recorded_at <= scope.known_at
                    offset 0
                ) v
            ) b
        ) h
        cross join lateral (select _minimum_at(h.plan, h.since, scope.known_at) as m offset 0) m
        join plans p on p.plan = h.plan);
    if cardinality(v_held) = 0 then
        return;
    end if;
    return query
    select m.plan, m.since, m.until, m.amount, m.currency, coalesce(f.amount, 0)
    from _cycle_minimums(scope.cycles, v_held) m
    left join (
        select c.plan, sum(c.amount) as amount
        from _counted_fees(scope, _due_minimums.segments, _due_minimums.billed) c
        group by c.plan
    ) f on f.plan = m.plan;
end
$$;

comment on function _due_minimums(invoice_scope, invoice_segment[], billed_fee[]) is
    'What the plans of a subject cost at least in a window: for each cycle, the part of its days in which the subject had the plan and the minimum '
    'held. billed, of the result: what _counted_fees() says.';

create or replace function _cycle_minimums(cycles invoice_cycle[], held invoice_minimum[])
returns setof invoice_minimum
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select d.plan, min(d.since), max(d.until), sum(_portion(d.amount, d.part, d.whole)), d.currency, 0::numeric
    from (
        -- Parts of one cycle with one amount are added up before they are divided.
        select m.plan, m.amount, m.currency, min(greatest(m.since, c.since)) as since, max(least(m.until, c.until)) as until,
               sum(_local_seconds(c.timezone, greatest(m.since, c.since), least(m.until, c.until))) as part,
               _local_seconds(c.timezone, c.whole_since, c.whole_until) as whole
        from unnest(held) m
        join unnest(cycles) c on m.since < c.until and m.until > c.since
        where m.amount > 0
        group by m.plan, m.amount, m.currency, c.since, c.whole_since, c.whole_until, c.timezone
    ) d
    group by d.plan, d.currency
    order by d.plan;
end
$$;

comment on function _cycle_minimums(invoice_cycle[], invoice_minimum[]) is
    'The minimum of each plan in a window with these cycles. held: what each costs at least in a whole cycle, and when that holds within the window.';

create or replace function _minimum_lines(basis invoice_basis, lines invoice_line[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select null::text, null::text, 'true_up', m.since, m.until, null::numeric, null::text, null::numeric, m.amount - l.amount, null::numeric,
           m.currency, null::bigint, format('minimum %s; without it: %s', trim_scale(m.amount), trim_scale(l.amount))
               || case when m.billed > 0 then format(' (%s of it on other invoices)', trim_scale(m.billed))
                       when m.billed < 0 then format(' (%s of the fees counts elsewhere in the cycle)', trim_scale(- m.billed)) else '' end,
           m.plan, null::integer,
           null::numeric, null::bigint, null::text, null::bigint
    from unnest(basis.minimums) m
    cross join lateral (
        select case when count(*) = count(l.exact_amount) then coalesce(sum(l.exact_amount), 0) + m.billed end as amount
        from unnest(lines) l
        where l.plan = m.plan and l.since < (basis.scope).until and l.since >= ((basis.scope).cycles[1]).since
    ) l
    where m.amount > l.amount
    order by m.plan;
end
$$;

comment on function _minimum_lines(invoice_basis, invoice_line[]) is
    'The lines for what is missing to the minimum of a plan; lines: those of the plans, of which fees for the next cycle do not count. No line if '
    'an amount is unknown.';

create or replace function _due_minimums(scope invoice_scope)
returns table (plan text, since timestamptz, until timestamptz, amount numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select d.plan, min(d.since), max(d.until), sum(_portion(d.amount, d.part, d.whole))
    from (
        -- Parts of one cycle with one amount are added up before they are divided.
        select p.plan, (m.m).amount, min(greatest(p.since, c.since)) as since, max(least(p.until, c.until)) as until,
               sum(_local_seconds(c.timezone, greatest(p.since, c.since), least(p.until, c.until))) as part,
               _local_seconds(c.timezone, c.whole_since, c.whole_until) as whole
        from (
            select b.plan, b.start as since, lead(b.start, 1, b.ends_at) over (partition by b.plan, b.starts_at order by b.start) as until
            from (
                select distinct i.plan, i.starts_at, i.ends_at, greatest(v.since, i.starts_at) as start
                from _subscribed_times(scope.subject, scope.since, scope.until, scope.known_at) i
                cross join lateral (
                    select m.since
                    from plan_minimums m
                    where m.plan = i.plan and m.since < i.ends_at and m.recorded_at <= scope.known_at
                    offset 0
                ) v
            ) b
        ) p
        cross join lateral (select _minimum_at(p.plan, p.since, scope.known_at) as m offset 0) m
        join unnest(scope.cycles) c on p.since < c.until and p.until > c.since
        where (m.m).amount > 0
        group by p.plan, (m.m).amount, c.since, c.whole_since, c.whole_until, c.timezone
    ) d
    group by 1;
end
$$;

comment on function _due_minimums(invoice_scope) is
    'What the plans of a subject cost at least in a window: for each cycle, the part of its days in which the subject had the plan and the minimum '
    'held.';

create or replace function _minimum_lines(scope invoice_scope, lines invoice_line[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    if not exists (select from plan_minimums) then
        return;
    end if;
    return query
    select null::text, null::text, 'true_up', d.since, d.until, null::numeric, null::text, null::numeric, d.amount - l.amount, null::numeric,
           p.currency, null::bigint, format('minimum %s; without it: %s', trim_scale(d.amount), trim_scale(l.amount)), d.plan, null::integer,
           null::numeric, null::bigint, null::text
    from _due_minimums(scope) d
    join plans p on p.plan = d.plan
    cross join lateral (
        select case when count(*) = count(l.exact_amount) then coalesce(sum(l.exact_amount), 0) end as amount
        from unnest(lines) l
        where l.plan = d.plan and l.since < scope.until
    ) l
    where d.amount > l.amount
    order by d.plan;
end
$$;

comment on function _minimum_lines(invoice_scope, invoice_line[]) is
    'The lines for what is missing to the minimum of a plan; lines: those of the plans, of which fees for the next cycle do not count. No line if '
    'an amount is unknown.';

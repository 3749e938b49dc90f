-- A fee that is not prorated, or is billed in advance, is due in the window with the end of its cycle: so windows that tile bill it once, and
-- what was billed in advance is taken off where the whole is due.
create or replace function _due_fees(scope invoice_scope, segments invoice_segment[])
returns table (segment invoice_segment, since timestamptz, until timestamptz, part numeric, whole numeric, is_next boolean)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select p.s, p.starts_at, p.ends_at,
           case when (p.s).prorate then _local_seconds(p.timezone, p.starts_at, p.ends_at)
                else _local_seconds(p.timezone, p.whole_since, p.whole_until) end,
           _local_seconds(p.timezone, p.whole_since, p.whole_until), p.is_next
    from (
        select s, c.is_next, c.timezone, c.whole_since, c.whole_until,
               case when not (s).prorate then c.since when (s).bill = 'advance' then greatest((s).since, c.since)
                    else greatest((s).since, c.starts_at) end as starts_at,
               case when not (s).prorate then c.until when (s).bill = 'advance' then least((s).until, c.until)
                    else least((s).until, c.ends_at) end as ends_at,
               row_number() over (partition by (s).plan, (s).item, (s).prorate, c.since order by (s).since desc) as n
        from unnest(segments) s
        join (
            select c.*, greatest(c.since, scope.since) as starts_at, least(c.until, scope.until) as ends_at, false as is_next
            from unnest(scope.cycles) c
            union all
            select c.*, c.since, c.until, true
            from unnest(array[scope.next_cycle]) c
            where _bills_next(scope)
        ) c on case
            when (s).prorate and (s).bill = 'arrears'
                then (s).since < c.ends_at and (s).until > c.starts_at and c.starts_at < c.ends_at
            else (s).since < c.until and (s).until > c.since and (c.is_next or c.until <= scope.until) end
        where (s).metric is null
    ) p
    where ((p.s).prorate or p.n = 1) and ((p.s).bill = 'advance' or not p.is_next)
    order by (p.s).plan, (p.s).item, p.starts_at;
end
$$;

comment on function _due_fees(invoice_scope, invoice_segment[]) is
    'The fees that are due in a window: which part of which whole billing cycle, in seconds. is_next: of the cycle after the window, in advance. Of '
    'one that is not prorated, the version that held last in the cycle counts.';

create or replace function _full_fee_lines(scope invoice_scope, segments invoice_segment[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_due  record;
    v_fee  invoice_segment;
    v_line rated_line;
    v_rate numeric;
begin
    for v_due in select * from _due_fees(scope, segments) loop
        v_fee := v_due.segment;
        foreach v_line in array _rate_one(_compile_price(v_fee.price), 1, 0, true, 0, 0) loop
            v_rate := case when v_line.tier is not null then coalesce(nullif(v_line.unit_amount, 0), v_line.flat_amount) end;
            return next (
                v_fee.item, null, case when v_line.tier is not null then 'fee' else _kind_of_line(v_line) end, v_due.since, v_due.until,
                case when v_line.tier is not null then _portion(1, v_due.part, v_due.whole) end, null, v_rate,
                _portion(v_line.amount, v_due.part, v_due.whole), null, v_fee.currency, v_fee.price_version,
                case when v_line.tier is null then v_line.explanation || '; ' else '' end || case when v_due.is_next then 'next cycle, in advance: '
                    when v_fee.bill = 'advance' then 'this cycle: ' else '' end
                || case when v_due.part = v_due.whole then 'one cycle'
                        else format('%s, at %s a cycle', _days_text(v_due.part, v_due.whole), trim_scale(v_line.amount)) end,
                v_fee.plan, null, null, null, v_fee.name, null)::invoice_line;
        end loop;
    end loop;
end
$$;

comment on function _full_fee_lines(invoice_scope, invoice_segment[]) is
    'The lines of an invoice for fixed fees, whatever was billed of them before. quantity: how much of a cycle; unit_amount: the fee of a whole one.';

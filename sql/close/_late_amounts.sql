-- Late usage is priced by pricing the whole period again, at the prices that its statement has, and taking off what was stated and billed before. So
-- tiers, maximums, discounts and the minimum of the plan are right, whatever the model.
create or replace function _late_of_statement(header statements, subject text, known_at timestamptz, predicted late_decisions[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_before invoice_line[];
    v_now    invoice_line[];
begin
    return query select * from _late_quantities(header, known_at);
    if (header).basis is null then
        return;
    end if;
    v_before := array(select l from _billed_lines((header).statement_id, known_at) l);
    v_now := array(select l from _priced_lines(_billed_basis(header, _late_of_statement.subject, known_at, predicted), '{}', null) l);
    return query
    select b.item, b.metric, 'late', b.since, b.until, trim_scale(sum(case when b.is_now then b.quantity else - b.quantity end)), max(b.unit),
           b.unit_amount,
           case when not bool_or(b.currency is not null and b.exact_amount is null)
                then trim_scale(sum(case when b.is_now then b.exact_amount else - b.exact_amount end)) end,
           null::numeric, b.currency, b.price_version,
           coalesce('now: ' || max(b.explanation) filter (where b.is_now),
                    'no longer: ' || max(b.explanation) filter (where b.kind <> 'late'), 'no longer billed'),
           b.plan, b.tier, nullif(sum(case when b.is_now then b.flat_amount else - b.flat_amount end), 0), 0::bigint, b.name, (header).statement_id
    from (
        select l.*, true as is_now from unnest(v_now) l where l.kind in ('usage', 'discount', 'true_up')
        union all
        select l.*, true from _late_quantities(header, known_at, true) l
        union all
        select l.*, false from unnest(v_before) l
    ) b
    group by b.item, b.metric, b.since, b.until, b.unit_amount, b.currency, b.price_version, b.plan, b.tier, b.name
    having coalesce(sum(case when b.is_now then b.quantity else - b.quantity end), 0) <> 0
        or coalesce(sum(case when b.is_now then b.exact_amount else - b.exact_amount end), 0) <> 0
    order by b.plan, b.item, b.metric, b.since, b.tier;
end
$$;

comment on function _late_of_statement(statements, text, timestamptz, late_decisions[]) is
    'The late lines that a statement''s period has, as of a time: what was decided to be billed and is not on a statement yet, not rounded. '
    'predicted: decisions that are not written yet.';

create or replace function _billed_lines(id bigint, known_at timestamptz)
returns setof invoice_line
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select l.* from _stated_lines(id) l where l.kind in ('usage', 'discount', 'true_up')
    union all
    select v.*
    from statement_lines l
    join statements t on t.statement_id = l.statement_id
    cross join lateral _as_invoice_line(l) v
    where l.late_of = id and l.kind = 'late' and t.watermark < _billed_lines.known_at;
end
$$;

comment on function _billed_lines(bigint, timestamptz) is
    'What has been billed for the usage of a statement''s period: the lines of the statement, and the late lines of others, as of a time.';

-- The usage of a segment that is billed is what the last decision to bill says; before the first, what was stated.
create or replace function _billed_basis(header statements, subject text, known_at timestamptz, predicted late_decisions[])
returns invoice_basis
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_basis  invoice_basis := _statement_basis(header, _billed_basis.subject);
    v_stored integer := jsonb_array_length((header).basis -> 'segments');
begin
    v_basis.usage := array(
        select case when b.segment is null then v_basis.usage[n] else (n, b.event_count, b.quantity, b.combinations)::segment_usage end
        from generate_subscripts(v_basis.segments, 1) n
        left join lateral (
            select u.segment, u.event_count, u.quantity, u.combinations
            from (
                select d.*
                from (
                    select k.* from _known_decisions((header).statement_id, _billed_basis.known_at) k
                    union all
                    select p.* from unnest(predicted) p
                ) d
                where d.metric = v_basis.segments[n].metric and d.decision = 'bill' and d.billed is not null
                order by d.decision_id desc nulls first
                limit 1
            ) d
            cross join lateral jsonb_populate_recordset(null::segment_usage, d.billed) u
            where u.segment = case when n <= v_stored then n else 0 end
        ) b on true
        order by n);
    return v_basis;
end
$$;

comment on function _billed_basis(statements, text, timestamptz, late_decisions[]) is
    'What the lines of a statement''s period are computed from, with the usage that is billed as of a time.';

-- A decision by the setting is written after the watermark of the statement that bills it.
create or replace function _known_decisions(id bigint, known_at timestamptz)
returns setof late_decisions
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select d.*
    from late_decisions d
    left join statements t on t.statement_id = d.billed_on
    where d.statement_id = id and (d.decided_at <= _known_decisions.known_at or t.watermark <= _known_decisions.known_at);
end
$$;

comment on function _known_decisions(bigint, timestamptz) is 'The decisions about late usage of a statement, as of a time.';

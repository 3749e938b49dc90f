-- Decisions are compared with what statements with amounts say of them, and late lines are computed anew from the decisions. A statement whose hash
-- does not fit cannot be computed with.
create or replace function _late_problems(sealed sealed_subjects)
returns setof statement_problem
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with intact as materialized (
        select o from statements o where o.subject_id = (sealed).subject_id and o.hash = _statement_hash(o, (sealed).digest)
    )
    select p.* from intact i cross join lateral _decision_problems(i.o, (sealed).subject) p where (i.o).basis is not null
    union all
    select t.statement_id, (sealed).subject, 'late', n.line, n.metric, n.stated, n.found
    from statements t
    cross join lateral (
        select s.line, coalesce(s.metric, f.metric) as metric, s.stated, f.found
        from (
            select l.line, l.metric, _late_text(l.late_of, l.metric, l.plan, l.item, l.tier, l.quantity, l.exact_amount, l.since) as stated
            from statement_lines l
            where l.statement_id = t.statement_id and l.kind = 'late' and l.late_of in (select (i.o).statement_id from intact i)
        ) s
        full join (
            select l.metric, _late_text(l.late_of, l.metric, l.plan, l.item, l.tier, l.quantity, l.exact_amount, l.since) as found
            from intact i
            cross join lateral _recomputed_late(i.o, (sealed).subject, t.watermark) l
            where (i.o).watermark < t.watermark
              and exists (select from late_decisions d where d.statement_id = (i.o).statement_id and d.billed_on = t.statement_id)
        ) f on f.found = s.stated
    ) n
    where t.subject_id = (sealed).subject_id and n.stated is distinct from n.found;
end
$$;

comment on function _late_problems(sealed_subjects) is 'Where late lines of a subject''s statements differ from what was decided.';

create or replace function _late_text(
    late_of bigint, metric text, plan text, item text, tier integer, quantity numeric, exact_amount numeric, since timestamptz
)
returns text
language sql
stable
set search_path from current
as $$
    select concat_ws(' ', trim_scale(quantity), metric, 'of statement ' || late_of, plan, item, 'tier ' || tier,
                     'for ' || trim_scale(exact_amount), 'since ' || _utc_text(since))
$$;

comment on function _late_text(bigint, text, text, text, integer, numeric, numeric, timestamptz) is 'What a late line says, to compare two of them.';

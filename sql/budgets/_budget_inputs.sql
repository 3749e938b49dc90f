-- What totals of invoices are computed from, without computing them. All of it is append-only, or has a version or a state that is read here; counts
-- are of what this snapshot sees, so a row that commits later than one with a higher number is not missed. now is no input: a fee, a credit and
-- a tax are of a period.
create or replace function _budget_inputs(subjects text[])
returns table (subject text, inputs bigint)
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
    v_common text := _common_inputs();
begin
    return query
    select u.subject, hashtextextended(concat_ws('|', v_common, s.versions, h.entries, y.entries, c.entries, t.entries, p.entries, b.entries,
                                                 w.entries), 0)
    from unnest(_budget_inputs.subjects) u (subject)
    cross join lateral (
        select bit_xor(hashint8extended(s.version, s.series_id::bigint * 65536 + s.stripe)) as versions
        from metrics m
        cross join lateral (
            select s.version, s.series_id, s.stripe from series s where s.metric = m.key and s.subject = u.subject offset 0
        ) s
    ) s
    cross join lateral (select count(*) as entries from subscription_history h where h.subject = u.subject offset 0) h
    cross join lateral (select count(*) as entries from cycle_history h where h.subject = u.subject offset 0) y
    cross join lateral (
        select concat_ws(',', count(*), count(c.voided_at)) as entries from credits c where c.subject = u.subject offset 0
    ) c
    cross join lateral (select count(*) as entries from taxes t where t.subject = u.subject offset 0) t
    cross join lateral (
        select count(p.price_id) as entries
        from plans n
        cross join lateral (select p.price_id from plan_prices p where p.plan = n.plan and p.subject = u.subject offset 0) p
    ) p
    cross join lateral (select count(*) as entries from budgets b where b.subject = u.subject offset 0) b
    cross join lateral (
        select string_agg(concat_ws(',', w.statements, d.entries), ';') as entries
        from sealed_subjects w
        cross join lateral (
            select count(d.decision_id) as entries
            from statements t
            cross join lateral (select d.decision_id from late_decisions d where d.statement_id = t.statement_id offset 0) d
            where t.subject_id = w.subject_id
            offset 0
        ) d
        where w.subject = u.subject and w.statements > 0
        offset 0
    ) w;
end
$$;

comment on function _budget_inputs(text[]) is
    'A digest of all that what subjects owe, and their budgets, are computed from: it changes if one of these does.';

create or replace function _common_inputs()
returns text
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return concat_ws('|',
        (select count(*) from budgets b where b.subject is null),
        (select count(*) from plan_prices p where p.subject is null),
        (select count(*) from plan_minimums),
        (select string_agg(s.name || '=' || s.value, ',' order by s.name) from settings s),
        (select string_agg(concat_ws(',', m.key, m.aggregate, m.period, m.rollup, m.carry, m.defined_at, m.retired_at), ';' order by m.key)
         from metrics m));
end
$$;

comment on function _common_inputs() is 'What the totals of all subjects are computed from: prices of plans, settings, and definitions of metrics.';

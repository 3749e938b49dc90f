-- Lines are under the hash of their statement, draws are not: so draws, and credits that are negative totals, are compared with the lines.
create or replace function _credit_problems(sealed sealed_subjects)
returns setof statement_problem
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select d.statement_id, (sealed).subject, 'credit', d.line, null::text, d.stated, d.found
    from (
        select p.statement_id, min(p.line) as line, string_agg(p.text, ', ' order by p.text) filter (where p.is_stated) as stated,
               string_agg(p.text, ', ' order by p.text) filter (where not p.is_stated) as found
        from _payment_texts(sealed) p
        group by p.statement_id, p.item, p.late_of, p.currency
    ) d
    where d.stated is distinct from d.found;
    return query
    select d.statement_id, (sealed).subject, 'credit', null::integer, null::text,
           format('%s %s of credit %s', trim_scale(c.amount), c.currency, c.credit_id), format('%s %s drawn', trim_scale(d.drawn), c.currency)
    from credits c
    cross join lateral (
        select sum(d.amount) as drawn, max(d.statement_id) as statement_id from credit_draws d where d.credit_id = c.credit_id offset 0
    ) d
    where c.subject = (sealed).subject and (d.drawn < 0 or d.drawn > c.amount);
end
$$;

comment on function _credit_problems(sealed_subjects) is
    'Where what was drawn of a subject''s credits, or granted by its statements, differs from their lines; and credits of which more was drawn than '
    'there was, or more given back than drawn.';

create or replace function _payment_texts(sealed sealed_subjects)
returns table (statement_id bigint, item text, late_of bigint, currency text, line integer, is_stated boolean, text text)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select l.statement_id, l.item, l.late_of, case when l.item is null then l.currency end, l.line, true,
           _payment_text(l.item, l.late_of, - l.amount, l.currency)
    from statements t
    join statement_lines l on l.statement_id = t.statement_id
    where t.subject_id = (sealed).subject_id and l.kind = 'credit'
    union all
    select d.statement_id, d.credit_id::text, d.refund_of, null, null, false,
           _payment_text(d.credit_id::text, d.refund_of, d.amount, (
               select c.currency from credits c where c.credit_id = d.credit_id and c.subject = (sealed).subject))
    from statements t
    join credit_draws d on d.statement_id = t.statement_id
    where t.subject_id = (sealed).subject_id
    union all
    select c.statement_id, null, null, c.currency, null, false, _payment_text(null, null, - c.amount, c.currency)
    from credits c
    where c.subject = (sealed).subject and c.statement_id is not null
    union all
    -- Of statements of others, or of none.
    select d.statement_id, d.credit_id::text, d.refund_of, null, null, false,
           _payment_text(d.credit_id::text, d.refund_of, d.amount, c.currency)
    from credits c
    join credit_draws d on d.credit_id = c.credit_id
    where c.subject = (sealed).subject
      and not exists (select from statements t where t.statement_id = d.statement_id and t.subject_id = (sealed).subject_id);
end
$$;

comment on function _payment_texts(sealed_subjects) is
    'What the lines of a subject''s statements say of credits (is_stated), and what was drawn and granted, as texts.';

create or replace function _payment_text(item text, late_of bigint, amount numeric, currency text)
returns text
language sql
stable
set search_path from current
as $$
    select case when item is null then format('%s %s granted', trim_scale(- amount), currency)
                when late_of is null then format('%s %s of credit %s', trim_scale(amount), coalesce(currency, '?'), item)
                else format('%s %s back to credit %s, of statement %s', trim_scale(- amount), coalesce(currency, '?'), item, late_of) end
$$;

comment on function _payment_text(text, bigint, numeric, text) is
    'What a line of kind credit, or a draw, says. amount: what was drawn; negative: given back.';

create or replace function _with_payments(basis invoice_basis, late invoice_line[])
returns invoice_basis
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_basis invoice_basis := basis;
    v_scope invoice_scope := basis.scope;
    v_late  bigint[] := array(select distinct l.late_of from unnest(late || basis.fees) l where l.late_of is not null order by 1);
begin
    v_basis.credits := array(
        select (c.credit_id, c.currency, c.remaining, c.amount, c.source)::invoice_credit
        from _credits_of(v_scope.subject, v_scope.known_at) c
        where c.remaining > 0 and _in_force(c.since, c.expires_at, v_scope.until));
    v_basis.draws := array(select d from _draws_of(v_late, v_scope.known_at) d);
    v_basis.taxes := array(
        select (t.name, t.percent, t.inclusive)::invoice_tax from _taxes_of(v_scope.subject, v_scope.until, v_scope.known_at) t);
    return v_basis;
end
$$;

comment on function _with_payments(invoice_basis, invoice_line[]) is
    'What an invoice with these late lines is computed from, with credits and taxes.';

create or replace function _draws_of(ids bigint[], known_at timestamptz)
returns setof invoice_draw
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
    select d.credit_id, d.statement_id, c.currency, d.amount - r.refunded
    from credit_draws d
    join credits c on c.credit_id = d.credit_id
    cross join lateral (
        select coalesce(- sum(r.amount), 0) as refunded
        from credit_draws r
        join statements t on t.statement_id = r.statement_id
        where r.refund_of = d.statement_id and r.credit_id = d.credit_id and t.watermark < _draws_of.known_at
        offset 0
    ) r
    where d.statement_id = any (ids) and d.refund_of is null and d.amount > r.refunded
    order by d.draw_id;
end
$$;

comment on function _draws_of(bigint[], timestamptz) is
    'What statements have drawn of credits and nobody has given back, as of a time, in the order of recording.';

-- What is drawn is read from the statement's lines, so that both say the same.
create or replace function _write_payments(statements new_statement[], sealed sealed_subjects[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into credit_draws (credit_id, statement_id, refund_of, amount)
    select l.item::bigint, l.statement_id, l.late_of, - l.amount
    from unnest(statements) n
    cross join lateral unnest(n.lines) l
    where l.kind = 'credit' and l.item is not null
    order by l.statement_id, l.line;
    insert into credits (recorded_at, since, statement_id, priority, subject, idempotency_key, currency, source, recorded_by, reason, amount)
    select (n.header).watermark + interval '1 microsecond', (n.header).until, l.statement_id, 50, w.subject,
           null, l.currency, 'paid', (n.header).closed_by,
           format('the negative total of statement %s', l.statement_id), l.amount
    from unnest(statements) n
    cross join lateral unnest(n.lines) l
    join unnest(sealed) w on w.subject_id = (n.header).subject_id
    where l.kind = 'credit' and l.item is null
    order by l.statement_id, l.line;
end
$$;

comment on function _write_payments(new_statement[], sealed_subjects[]) is
    'Draws the credits of new statements, gives back, and grants what is left of negative totals.';

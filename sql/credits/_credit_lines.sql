-- Credits pay what the other lines add up to, and no more. What earlier statements have drawn is given back before a negative total becomes a credit
-- of its own: so nobody is paid for what a credit had paid. Of each statement as much is given back as is taken off of it, or what money had paid
-- would go to a credit that expires.
create or replace function _credit_lines(basis invoice_basis, lines invoice_line[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_sum    record;
    v_credit record;
    v_left   numeric;
    v_part   numeric;
begin
    for v_sum in
        select l.currency, sum(l.amount) as amount
        from unnest(lines) l
        where l.currency is not null
        group by 1
        having count(*) = count(l.amount) and sum(l.amount) <> 0
        order by 1
    loop
        v_left := v_sum.amount;
        for v_credit in select c.* from unnest(basis.credits) c where v_left > 0 and c.currency = v_sum.currency loop
            exit when v_left = 0;
            v_part := least(v_left, v_credit.remaining);
            v_left := v_left - v_part;
            return next _credit_line(basis.scope, v_credit.credit_id, - v_part, v_sum.currency, null, format('%s credit %s: %s of %s left',
                v_credit.source, v_credit.credit_id, trim_scale(v_credit.remaining - v_part), trim_scale(v_credit.amount)));
        end loop;
        for v_credit in select d.* from _refundable(basis, lines) d where v_left < 0 and d.currency = v_sum.currency loop
            exit when v_left = 0;
            v_part := least(- v_left, v_credit.amount);
            v_left := v_left + v_part;
            return next _credit_line(basis.scope, v_credit.credit_id, v_part, v_sum.currency, v_credit.statement_id,
                format('given back to credit %s, which had paid a part of statement %s', v_credit.credit_id, v_credit.statement_id));
        end loop;
        if v_left < 0 then
            return next _credit_line(basis.scope, null, - v_left, v_sum.currency, null, 'a credit for the next statements');
        end if;
    end loop;
end
$$;

comment on function _credit_lines(invoice_basis, invoice_line[]) is
    'The lines of kind credit of an invoice whose other lines, rounded, are these: what credits pay, or what a negative total gives back; item is '
    'then the credit''s id. Without an item: a new credit. None for a currency with an unknown amount.';

create or replace function _refundable(basis invoice_basis, lines invoice_line[])
returns setof invoice_draw
language sql
stable
set search_path from current
as $$
    select r.credit_id, r.statement_id, r.currency, r.amount
    from (
        select d.n, d.credit_id, d.statement_id, d.currency,
               least(d.amount, l.amount - coalesce(sum(d.amount) over (
                   partition by d.statement_id, d.currency order by d.n rows between unbounded preceding and 1 preceding), 0)) as amount
        from unnest(basis.draws) with ordinality d (credit_id, statement_id, currency, amount, n)
        join (
            select t.statement_id, t.currency, sum(t.amount) as amount from _taken_off(basis, lines) t group by 1, 2
        ) l on l.statement_id = d.statement_id and l.currency = d.currency
    ) r
    where r.amount > 0
    order by r.n
$$;

comment on function _refundable(invoice_basis, invoice_line[]) is
    'Of draws of earlier statements, what these lines, rounded, take off of them, in the order of recording.';

create or replace function _credit_line(scope invoice_scope, credit_id bigint, amount numeric, currency text, late_of bigint, explanation text)
returns invoice_line
language sql
immutable parallel safe
set search_path from current
as $$
    select row(credit_id::text, null, 'credit', (scope).since, (scope).until, null, null, null, amount,
               round(amount, _currency_decimals(currency)), currency, null, explanation, null, null, null, null, null, late_of)::invoice_line
$$;

comment on function _credit_line(invoice_scope, bigint, numeric, text, bigint, text) is
    'A line of kind credit. late_of: the statement whose draw is given back.';

create or replace function _tax_lines(basis invoice_basis, lines invoice_line[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_sum      record;
    v_tax      invoice_tax;
    v_included numeric := (select coalesce(sum(t.percent) filter (where t.inclusive), 0) from unnest(basis.taxes) t);
    v_net      numeric;
    v_exact    numeric;
begin
    for v_sum in
        select l.currency, sum(l.amount) as amount
        from unnest(lines) l
        where l.currency is not null
        group by 1
        having count(*) = count(l.amount)
        order by 1
    loop
        v_net := _portion(v_sum.amount, 100, 100 + v_included);
        foreach v_tax in array coalesce(basis.taxes, '{}') loop
            v_exact := v_net * v_tax.percent * 0.01;
            return next (
                v_tax.name, null, 'tax', (basis.scope).since, (basis.scope).until, trim_scale(v_net), null, trim_scale(v_tax.percent * 0.01),
                case when v_tax.inclusive then 0 else trim_scale(v_exact) end,
                case when v_tax.inclusive then 0 else round(v_exact, _currency_decimals(v_sum.currency)) end, v_sum.currency, null,
                format(case when v_tax.inclusive then '%s %s%%, which the prices contain: %s of %s' else '%1$s %2$s%% of %4$s' end, v_tax.name,
                    trim_scale(v_tax.percent), round(v_exact, _currency_decimals(v_sum.currency)), trim_scale(v_sum.amount)),
                null, null, null, null, null, null)::invoice_line;
        end loop;
    end loop;
end
$$;

comment on function _tax_lines(invoice_basis, invoice_line[]) is
    'The lines of kind tax of an invoice whose other lines, rounded, are these. quantity: the net amount; unit_amount: the share of it. A tax that '
    'prices contain has the amount 0, and says how much it is.';

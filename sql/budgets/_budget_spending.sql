create or replace function _budget_totals(subject text, since timestamptz, until timestamptz)
returns table (currency text, amount numeric)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select l.currency, l.amount
    from _invoice_lines(_invoice_scope(_budget_totals.subject, _budget_totals.since, _budget_totals.until, null, _budget_totals.since, null)) l
    where l.kind = 'total';
end
$$;

comment on function _budget_totals(text, timestamptz, timestamptz) is
    'The totals of the invoice of a window, by currency; amount null: unknown. Raises as invoice() does.';

create or replace function _projected_total(subject text, currency text, now timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_total record;
begin
    select count(*) as lines, sum(p.expected) as expected into v_total
    from project_invoice(_projected_total.subject, _projected_total.now) p
    where p.kind = 'total' and p.currency = _projected_total.currency;
    return case when v_total.lines = 0 then 0 else v_total.expected end;
end
$$;

comment on function _projected_total(text, text, timestamptz) is
    'What the invoice of the running billing cycle is expected to be in a currency; null: unknown. Raises as project_invoice() does.';

create or replace function _spending_of(
    subject text, budgets effective_budget[], now timestamptz, is_known boolean, totals budget_total[]
)
returns setof budget_spending
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with wanted as materialized (
        select b.currency, b.period, b.since, b.until, b.projected, o.spent, o.projected as projection, coalesce(o.blocked, '{}') as blocked,
               _spending_of.is_known and o.since is not null as is_known
        from unnest(_spending_of.budgets) b
        left join budget_spending o on o.subject = _spending_of.subject and o.currency = b.currency and o.period = b.period
            and o.since = b.since and o.until = b.until
    ), totals as materialized (
        select t.since, t.until, t.currency, t.amount from unnest(_spending_of.totals) t
        union all
        select w.since, w.until, t.currency, t.amount
        from (
            select distinct w.since, w.until from wanted w
            where not w.is_known and (w.since, w.until) not in (select t.since, t.until from unnest(_spending_of.totals) t)
        ) w
        cross join lateral _budget_totals(_spending_of.subject, w.since, w.until) t
    )
    select w.since, w.until, _spending_of.now, _spending_of.subject, w.currency, w.period,
           case when w.is_known then w.spent when t.currency is null then 0 else t.amount end,
           case when not w.projected then null when w.is_known then w.projection
                else _projected_total(_spending_of.subject, w.currency, _spending_of.now) end,
           w.blocked
    from wanted w
    left join totals t on (t.since, t.until, t.currency) = (w.since, w.until, w.currency)
    order by w.currency, w.period;
end
$$;

comment on function _spending_of(text, effective_budget[], timestamptz, boolean, budget_total[]) is
    'What is spent of these budgets of a subject, in their order; is_known: nothing has changed since the last judgement, which is taken '
    'where it has the period. totals: those of windows that have been computed already. Raises as invoice() and project_invoice() do.';

create or replace function _known_total(subject text, currency text, since timestamptz, until timestamptz, out amount numeric, out reason text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    select t.amount into _known_total.amount
    from _budget_totals(_known_total.subject, _known_total.since, _known_total.until) t
    where t.currency = _known_total.currency;
    if not found then
        amount := 0;
    elsif amount is null then
        reason := 'the total of the invoice is unknown: a line has no amount';
    end if;
exception when sqlstate 'UM006' then
    amount := null;
    reason := format('%s (%s)', sqlerrm, sqlstate);
end
$$;

comment on function _known_total(text, text, timestamptz, timestamptz) is
    'The total of the invoice of a window in a currency; null: unknown, and why. Raises as invoice() does, but not UM006.';

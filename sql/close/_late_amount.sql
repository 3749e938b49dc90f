create or replace function _with_amount(line late_line, added segment_usage[] default null)
returns late_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_line late_line := line;
    v_sums record;
begin
    select s.* into v_sums from _open_amount(line, added) s;
    if v_sums.currencies = 1 then
        v_line.currency := v_sums.currency;
        v_line.amount := case when v_sums.is_known then round(v_sums.amount, _currency_decimals(v_sums.currency)) end;
    end if;
    return v_line;
end
$$;

comment on function _with_amount(late_line, segment_usage[]) is
    'A line with the amount that billing all that is open of it would add to the next statement; null if that is unknown. currency is null, too, '
    'without prices, and with several currencies. added: as in _next_decisions().';

create or replace function _open_amount(
    line late_line, added segment_usage[], out currency text, out currencies bigint, out amount numeric, out is_known boolean
)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_header    statements := (select t from statements t where t.statement_id = line.statement_id);
    v_predicted late_decisions[] := array(select d from _next_decisions(line, 'bill', null, added) d);
    v_lines     bigint;
begin
    currencies := 0;
    if v_header.basis is null or exists (select from unnest(v_predicted) p where p.billed is null) then
        return;
    end if;
    select min(l.currency), count(distinct l.currency), coalesce(sum(l.sign * l.exact_amount), 0), count(l.currency) = count(l.exact_amount), count(*)
    into currency, currencies, amount, is_known, v_lines
    from (
        select l.currency, l.exact_amount, 1 as sign
        from _late_of_statement(v_header, line.subject, 'infinity', v_predicted) l
        union all
        select l.currency, l.exact_amount, -1 from _late_of_statement(v_header, line.subject, 'infinity', '{}') l
    ) l;
    if v_lines = 0 then  -- nothing that is billed changes
        select min(s.currency), count(distinct s.currency) into currency, currencies
        from jsonb_to_recordset(v_header.basis -> 'segments') s (metric text, currency text)
        where s.metric = line.metric;
    end if;
end
$$;

comment on function _open_amount(late_line, segment_usage[]) is
    'What billing all that is open of a line would add to the next statement, not rounded; currencies: how many the late lines have, 0 without '
    'prices, or if what they need of the log was dropped. added: as in _next_decisions().';

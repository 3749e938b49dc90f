-- A statement is sent as a whole, what is negative too: its items add up to its total. An amount that the biller cannot express is held, never
-- rounded, and so are the lines of a currency whose total is unknown. The time is that of closing, which is never in the future, and by which the
-- comparison with the biller's items finds it. OFFSET 0: each is a look-up by key.
create or replace function _candidate_items(biller billers, statement_ids bigint[])
returns setof planned_push
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
    select h.subject, l.currency, h.customer, lower(l.currency), l.value::text, _whole_second(h.closed_at),
           case when r.reason is null then 'planned' else 'held' end, r.reason, _last_second(h.until), null::bigint, 'item',
           null::timestamptz, h.statement_id, l.line, l.description, l.since, l.until
    from (
        select t.statement_id, t.until, t.closed_at, w.subject,
               _customer((select s.customer from report_subjects s where s.subject = w.subject and s.biller = (_candidate_items.biller).biller),
                         w.subject, (_candidate_items.biller).subject_is_customer) as customer
        from unnest(statement_ids) i (statement_id)
        cross join lateral (select t.* from statements t where t.statement_id = i.statement_id offset 0) t
        cross join lateral (select w.subject from sealed_subjects w where w.subject_id = t.subject_id offset 0) w
        offset 0
    ) h
    cross join lateral (
        select l.line, l.currency, l.since, l.until, _minor_units(l.currency, l.amount) as value, _item_description(l) as description,
               bool_or(l.amount is null) over (partition by l.currency) as is_unknown
        from statement_lines l
        where l.statement_id = h.statement_id and l.currency is not null
        offset 0
    ) l
    cross join lateral (
        select case when l.is_unknown then 'unknown_total'
                    when not _is_minor_amount(l.currency, l.value) then 'inexact'
                    when _digit_count(l.value) > (_candidate_items.biller).max_digits then 'too_many_digits' end as reason
        offset 0
    ) r
    where l.description is not null and l.value <> 0
    order by h.statement_id, l.line;
end
$$;

comment on function _candidate_items(billers, bigint[]) is
    'The pushes that statements result in: one for each line that has an amount other than zero and is no total. customer is null where '
    'the subject has none.';

create or replace function _item_description(line statement_lines)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case when (line).kind <> 'total' then left(
        case when (line).kind = 'credit' then 'Credit'
             when (line).kind = 'true_up' then concat_ws(' ', coalesce((line).name, (line).plan), 'minimum')
             else coalesce((line).name, (line).item, (line).metric, (line).kind) end
        || case when (line).kind in ('discount', 'late') then format(' (%s)', (line).kind) else '' end
        || case when (line).kind in ('usage', 'late') and (line).quantity is not null
            then format(': %s %s', trim_scale((line).quantity), (line).unit) else '' end, 500) end
$$;

comment on function _item_description(statement_lines) is 'What a customer reads on the invoice about a line of a statement; null for a total.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _last_second(until timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select date_trunc('second', (until - interval '1 microsecond') at time zone interval '0') at time zone interval '0'
$$;

comment on function _last_second(timestamptz) is 'The last whole second before the end of a period.';

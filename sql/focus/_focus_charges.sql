create or replace function _focus_charges(ids bigint[], provider text, service_category text)
returns setof focus_charge
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select r.billed, w.subject, null::text, (r.line).currency, _focus_time(t.until), _focus_time(t.since), c.category, c.class,
           _focus_description(r.line, r.part, r.reduction),
           case when c.category = 'Usage' then 'Usage-Based' when c.category = 'Credit' or c.class is not null then 'One-Time' else 'Recurring' end,
           _focus_time((r.line).until), _focus_time((r.line).since), trim_scale(r.consumed), r.meter_unit, trim_scale(r.contracted_cost),
           trim_scale(r.contracted_price), r.billed, t.statement_id::text, _focus_charges.provider, trim_scale(r.list_cost),
           trim_scale(r.unit_price), case when c.category in ('Usage', 'Purchase') then 'Standard' end, trim_scale(r.quantity), r.price_unit,
           _focus_charges.provider, _focus_charges.provider, _focus_charges.service_category, coalesce((r.line).plan, _focus_charges.provider),
           format('Other (%s)', _focus_charges.service_category), k.sku,
           case when k.sku is not null then coalesce((r.line).metric, (r.line).item) end,
           case when k.price is not null then jsonb_strip_nulls(jsonb_build_object('x_Plan', (r.line).plan, 'x_Item', (r.line).item,
               'x_Tier', (r.line).tier::text)) end,
           k.price, (r.line).late_of::text, r.included_tax, (r.line).item, (r.line).kind, (r.line).price_version, encode(t.hash, 'hex'),
           (r.line).line
    from _focus_rows(ids) r
    cross join lateral (select t.* from statements t where t.statement_id = (r.line).statement_id offset 0) t
    cross join lateral (select s.subject from sealed_subjects s where s.subject_id = t.subject_id offset 0) w
    cross join lateral (select _focus_category(r.line) as category, _focus_class(r.line) as class offset 0) c
    cross join lateral (
        select case when c.category in ('Usage', 'Purchase') or (r.line).plan is not null and (r.line).item is not null
                    then coalesce((r.line).metric, (r.line).plan || '/' || (r.line).item) end as sku,
               case when c.category in ('Usage', 'Purchase') then concat_ws('/', (r.line).plan, (r.line).item,
                   nullif((r.line).metric, (r.line).item), (r.line).tier, case when r.part = 2 then 'flat' end) end as price
        offset 0
    ) k
    order by t.until, t.statement_id, (r.line).line, r.part;
end
$$;

comment on function _focus_charges(bigint[], text, text) is 'The charges of statements, as focus_charges() returns them.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _focus_category(line statement_lines)
returns text
language sql
immutable parallel safe
as $$
    select case line.kind when 'usage' then 'Usage' when 'fee' then 'Purchase' when 'tax' then 'Tax' when 'credit' then 'Credit'
                          when 'late' then case when line.unit_amount is null then 'Adjustment' else 'Usage' end
                          else 'Adjustment' end
$$;

comment on function _focus_category(statement_lines) is
    'The ChargeCategory of a line. Minimums, and late changes of them, are adjustments: they are no usage, and nothing is bought for them.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _focus_class(line statement_lines)
returns text
language sql
immutable parallel safe
as $$
    select case when line.late_of is not null or line.kind = 'fee' and line.unit_amount is null then 'Correction' end
$$;

comment on function _focus_class(statement_lines) is
    'The ChargeClass of a line: Correction for late usage, for what is given back to a credit, and for a fee that was billed in advance.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _focus_description(line statement_lines, part integer, reduction numeric)
returns text
language sql
stable parallel safe
as $$
    select concat_ws(': ', case when line.kind not in ('credit', 'tax') then coalesce(line.name, line.item, line.metric, line.plan) end,
                     case when part = 2 then 'flat amount' end, line.explanation)
           || case when reduction <> 0 then format('; reduced by %s', - reduction) else '' end
$$;

comment on function _focus_description(statement_lines, integer, numeric) is
    'The ChargeDescription of a charge: what it is for, and how it is computed.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _focus_time(value timestamptz)
returns text
language sql
stable parallel safe
as $$
    select to_char(value at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS')
           || rtrim(to_char(value at time zone interval '0', '.US'), '.0') || 'Z'
$$;

comment on function _focus_time(timestamptz) is 'A time as FOCUS wants it: ISO 8601 in UTC, to the second unless it is finer.';

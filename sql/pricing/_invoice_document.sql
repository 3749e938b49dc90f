create or replace function _utc_text(at timestamptz)
returns text
language sql
stable
set search_path from current
as $$
    select to_char(at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

comment on function _utc_text(timestamptz) is 'A time in UTC with six digits; null for a null.';

create or replace function _line_document(line invoice_line)
returns jsonb
language sql
stable
set search_path from current
as $$
    select jsonb_build_object(
        'item', (line).item, 'name', (line).name, 'metric', (line).metric, 'kind', (line).kind, 'since', _utc_text((line).since),
        'until', _utc_text((line).until), 'quantity', trim_scale((line).quantity)::text, 'unit', (line).unit,
        'unit_amount', trim_scale((line).unit_amount)::text, 'exact_amount', trim_scale((line).exact_amount)::text, 'amount', (line).amount::text,
        'currency', (line).currency, 'price_version', (line).price_version, 'explanation', (line).explanation, 'plan', (line).plan,
        'tier', (line).tier, 'flat_amount', trim_scale((line).flat_amount)::text, 'event_count', (line).event_count, 'late_of', (line).late_of)
$$;

comment on function _line_document(invoice_line) is 'A line of an invoice as JSON: quantities and amounts are strings.';

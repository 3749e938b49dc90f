create or replace function invoice_json(
    subject text,
    since timestamptz default null,
    until timestamptz default null,
    period text default null,
    now timestamptz default now(),
    as_of timestamptz default null
)
returns jsonb
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope;
    v_lines invoice_line[];
begin
    if _is_open('invoice_json') then perform _check_caller('invoice_json'); end if;
    perform _check_name('subject', invoice_json.subject), _check_here(invoice_json.subject);
    if invoice_json.as_of is not null then perform _check_as_of(invoice_json.subject, invoice_json.as_of); end if;
    v_scope := _invoice_scope(
        invoice_json.subject, invoice_json.since, invoice_json.until, invoice_json.period, invoice_json.now, invoice_json.as_of);
    v_lines := array(select l from _invoice_lines(v_scope) l);
    return jsonb_build_object(
        'header', jsonb_build_object('subject', v_scope.subject, 'since', _utc_text(v_scope.since), 'until', _utc_text(v_scope.until),
                                     'as_of', _utc_text(v_scope.as_of)),
        'lines', (select coalesce(jsonb_agg(_line_document(l) order by n), '[]')
                  from generate_subscripts(v_lines, 1) n
                  cross join lateral (select v_lines[n] as l offset 0) l
                  where (l).kind <> 'total'),
        'totals', (select coalesce(jsonb_object_agg(l.currency, jsonb_build_object(
                       'exact_amount', trim_scale(l.exact_amount)::text, 'amount', l.amount::text)), '{}')
                   from unnest(v_lines) l
                   where l.kind = 'total'));
end
$$;

comment on function invoice_json(text, timestamptz, timestamptz, text, timestamptz, timestamptz) is
    'Returns what invoice() does as one document: header (subject, since, until, as_of), lines (without the totals) and totals, by currency. '
    'Quantities and amounts are strings, so that no reader makes floating point of them; times are in UTC. Raises as invoice() does. Example: '
    'SELECT d -> ''totals'' AS totals, jsonb_array_length(d -> ''lines'') AS lines FROM meter.invoice_json(''acct_1'', period => ''cycle'') d;';

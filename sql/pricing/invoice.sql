create or replace function invoice(
    subject text,
    since timestamptz default null,
    until timestamptz default null,
    period text default null,
    now timestamptz default now(),
    as_of timestamptz default null
)
returns setof invoice_line
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('invoice') then perform _check_caller('invoice'); end if;
    perform _check_name('subject', invoice.subject), _check_here(invoice.subject);
    if invoice.as_of is not null then perform _check_as_of(invoice.subject, invoice.as_of); end if;
    return query
    select l.*
    from _invoice_lines(_invoice_scope(invoice.subject, invoice.since, invoice.until, invoice.period, invoice.now, invoice.as_of)) l;
end
$$;

comment on function invoice(text, timestamptz, timestamptz, text, timestamptz, timestamptz) is
    'Returns what a subject owes for a window, line by line, by the prices of its plans; at the end, a line of kind total for each currency. '
    'Without since, until and period: the billing cycle that contains now. period: cycle or a calendar word (UTC). It is computed from what is '
    'recorded, and nothing is stored. Each version of a price counts for the time in which it holds. amount: rounded so that the lines add up to '
    'the rounded total (setting rounding). If a price says nothing about a quantity, its amounts and the total are null. Usage without a price has '
    'a line without amounts. Fees of kind advance are in a window that ends with a billing cycle, those of the next cycle too. as_of: by what was '
    'known at that watermark (watermark()): usage, prices, subscriptions and cycles. Raises 22004 or 22023 for a bad value, UM006 if the window '
    'begins or ends, or a price changes, inside a bucket whose events were dropped, 40001 as usage() does, 55P03 for an as_of after the last '
    'watermark, UM008 for a subject that is on another shard or being moved. Example: SELECT item, kind, quantity, unit_amount, amount, currency '
    'FROM meter.invoice(''acct_1'', period => ''cycle'');';

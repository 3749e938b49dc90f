create or replace function own_invoice(
    subject text,
    since timestamptz default null,
    until timestamptz default null,
    period text default null,
    now timestamptz default now()
)
returns setof invoice_line
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_invoice.subject);
    return query select * from invoice(own_invoice.subject, own_invoice.since, own_invoice.until, own_invoice.period, own_invoice.now);
end
$$;

comment on function own_invoice(text, timestamptz, timestamptz, text, timestamptz) is
    'The same as invoice(), for a role that grant_access() has bound to the subject. Raises as invoice() does; 42501 if the role is not bound to '
    'the subject. Example: BEGIN; SET LOCAL ROLE portal; SELECT item, kind, quantity, amount, currency FROM meter.own_invoice(''acct_1'', period => '
    '''cycle''); ROLLBACK;';

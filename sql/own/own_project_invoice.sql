create or replace function own_project_invoice(
    subject text,
    now timestamptz default now()
)
returns setof invoice_projection
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_project_invoice.subject);
    return query select * from project_invoice(own_project_invoice.subject, own_project_invoice.now);
end
$$;

comment on function own_project_invoice(text, timestamptz) is
    'The same as project_invoice(), for a role that grant_access() has bound to the subject. Raises as project_invoice() does; 42501 if the role is '
    'not bound to the subject. Example: BEGIN; SET LOCAL ROLE portal; SELECT item, kind, so_far, low, expected, high, currency FROM '
    'meter.own_project_invoice(''acct_1''); ROLLBACK;';

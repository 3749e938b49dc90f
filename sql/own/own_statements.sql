create or replace function own_statements(
    subject text,
    since timestamptz default null,
    until timestamptz default null,
    max_rows integer default 100,
    after_id bigint default null
)
returns setof statement_header
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_statements.subject);
    return query select * from statements(own_statements.subject, own_statements.since, own_statements.until, own_statements.max_rows,
        own_statements.after_id);
end
$$;

comment on function own_statements(text, timestamptz, timestamptz, integer, bigint) is
    'The same as statements(), for a role that grant_access() has bound to the subject. Raises as statements() does; 42501 if the role is not bound '
    'to the subject. Example: BEGIN; SET LOCAL ROLE portal; SELECT statement_id, since, until, totals FROM meter.own_statements(''acct_1''); '
    'ROLLBACK;';

create or replace function access()
returns setof access_right
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('access') then perform _check_caller('access'); end if;
    return query select * from _access_rights();
end
$$;

comment on function access() is
    'Who may do what: a row for each level (and subject) that a role was granted, and one with a null level for whatever else it has on '
    'the schema, its functions and tables. Owner and superusers, who may do everything, are left out; roles that a role''s members are '
    'in members.';

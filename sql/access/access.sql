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
    'Returns the rights on the meter: a row for each level, and each subject, that a role was granted. complete is false if the role '
    'lacks functions of the level. A row with a null level lists all other rights that the role has on the schema, its functions and '
    'tables. members are the roles that have the rights through membership. The owner and superusers, who have all rights, are left '
    'out. '
    'Example: SELECT meter.grant_access(''portal'', ''read'', subject => ''acct_1''); '
    'SELECT role, level, subject, rights FROM meter.access() WHERE role = ''portal'';';

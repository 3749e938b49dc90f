create or replace function _log_change(action text, object text, before jsonb, after jsonb)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    if before is distinct from after then
        insert into admin_log (role, application, action, object, before, after)
        values (_session_role(), current_setting('application_name'), action, object, before, after);
    end if;
end
$$;

comment on function _log_change(text, text, jsonb, jsonb) is
    'Writes a row of admin_log: what function changed which object, from what to what. A change that changed nothing is not logged.';

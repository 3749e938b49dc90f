create or replace function _check_rights()
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_open bigint := (select count(*) from _open_functions());
begin
    if v_open > 0 then
        raise exception using
            errcode = '55000', message = 'functions are open to everybody', detail = format('%s functions.', v_open),
            hint = 'A restore has lost privileges. Run pymeter migrate as the owner of the meter; it sets them again.';
    end if;
end
$$;

comment on function _check_rights() is 'Raises 55000 while everybody may call functions: any right on the schema would open all of them.';

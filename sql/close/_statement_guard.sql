create or replace function _guard_statements()
returns trigger
language plpgsql
set search_path from current
as $$
begin
    raise exception using
        errcode = '42501',
        message = 'a statement is final',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'What arrives later is late usage: late_usage() lists it, settle_late_usage() decides about it.';
end
$$;

comment on function _guard_statements() is
    'Trigger function: raises 42501 on UPDATE, DELETE and TRUNCATE of statements and their lines, for the owner too.';

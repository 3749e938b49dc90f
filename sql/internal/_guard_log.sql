create or replace function _guard_log()
returns trigger
language plpgsql
set search_path from current
as $$
begin
    raise exception using
        errcode = '42501',
        message = 'the log is append-only',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'Record a correcting event instead; maintain() looks after partitions.';
end
$$;

comment on function _guard_log() is 'Trigger: refuses UPDATE, DELETE and TRUNCATE on the log (42501), for its owner too.';

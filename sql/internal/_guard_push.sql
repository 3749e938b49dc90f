create or replace function _guard_push()
returns trigger
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
begin
    if tg_op = 'UPDATE' then
        if (new.push_id, new.subject, new.metric, new.biller, new.bucket_start, new.event_id, new.mode, new.identifier,
            new.customer, new.event_name, new.value, new.stamped_at)
           is not distinct from
           (old.push_id, old.subject, old.metric, old.biller, old.bucket_start, old.event_id, old.mode, old.identifier,
            old.customer, old.event_name, old.value, old.stamped_at) then
            return new;
        end if;
    end if;
    raise exception using
        errcode = '42501', message = 'what a push sends never changes',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'retry_pushes() and resolve_push() replace a push by another.';
end
$$;

comment on function _guard_push() is 'Trigger: refuses (42501) to delete a push or to change what it sends, for its owner too.';

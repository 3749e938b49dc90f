create or replace function moves()
returns setof moves
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('moves') then perform _check_caller('moves'); end if;
    return query select m.* from moves m order by m.subject;
end
$$;

comment on function moves() is
    'Returns the subjects that are not at home here, in their order: state closing while a subject is being moved to another shard, moved when it is '
    'there, arriving while it is being moved here. other: the other shard. No row: the subject is at home, or has never been here. '
    'Example: SELECT subject, state, other FROM meter.moves();';

create or replace function _refuse_moved(subjects text[])
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    select * into v_move from moves m where m.subject = any (_refuse_moved.subjects) order by m.subject limit 1;
    if found then
        perform _raise_moved(v_move);
    end if;
end
$$;

comment on function _refuse_moved(text[]) is 'Raises UM008 if one of the subjects is not at home here.';

create or replace function _raise_moved(move moves)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = 'UM008', column = 'subject',
        message = case (move).state
            when 'moved' then 'the subject has moved to another shard'
            when 'closing' then 'the subject is being moved to another shard'
            else 'the subject is being moved here from another shard' end,
        detail = (move).other,  -- as it is, for programs
        hint = case (move).state
            when 'moved' then 'Nothing was changed. Send the call to that shard, and load the map of shards anew.'
            else 'Nothing was changed. Try again in a second, with the map of shards loaded anew.' end;
end
$$;

comment on function _raise_moved(moves) is 'Raises UM008: the subject is not at home here; DETAIL is the name of the other shard.';

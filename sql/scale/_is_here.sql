-- While a subject is closing, all of it is still here: it is read, verified and counted, but nothing is written for it. Where nothing has ever been
-- moved, a query asks _all_here() once, as a scalar subquery, and _is_here() for no row.
create or replace function _all_here()
returns boolean
language sql
stable
set search_path from current
as $$
    select not exists (select from moves)
$$;

comment on function _all_here() is 'Whether no subject is being moved or has moved.';

create or replace function _is_here(subject text)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return not exists (select from moves m where m.subject = _is_here.subject and m.state <> 'closing');
end
$$;

comment on function _is_here(text) is 'Whether questions about all subjects count a subject: not if it has moved, or has not arrived yet.';

create or replace function _is_home(subject text)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return not exists (select from moves m where m.subject = _is_home.subject);
end
$$;

comment on function _is_home(text) is 'Whether work for all subjects is done for a subject: not if it is being moved or has moved.';

create or replace function _check_here(subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    select * into v_move from moves m where m.subject = _check_here.subject and m.state <> 'closing';
    if found then
        perform _raise_moved(v_move);
    end if;
end
$$;

comment on function _check_here(text) is
    'Raises UM008 if a subject has moved to another shard, or has not arrived yet: what is here of it is no answer.';

-- Not of a subject that is arriving: whoever queues waits for its copy to be complete, or the copy for him.
create or replace function _is_sealed_copy(subject text)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return exists (select from moves m where m.subject = _is_sealed_copy.subject and m.state = 'moved');
end
$$;

comment on function _is_sealed_copy(text) is 'Whether a subject has moved away: what is here of it is reported elsewhere.';
